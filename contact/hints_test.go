package contact

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestHints compares with a list of pairs; few tags, so that they meet.
func TestHints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h hints
		of := make(map[uint32][]uint32)
		total := 0
		tags := rapid.SampledFrom([]uint32{0, 1, 2, 7, 8, 1 << 31, 1<<31 + 1, ^uint32(0)})
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			tag, number := tags.Draw(t, "tag"), rapid.Uint32Range(0, 40).Draw(t, "number")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				if len(of[tag]) == 0 {
					total++
					of[tag] = []uint32{number}
				} else {
					first, _ := h.first(tag)
					of[tag][slices.Index(of[tag], first)] = number
				}
				h.set(tag, number)
			case 1:
				if i := slices.Index(of[tag], number); i >= 0 {
					of[tag] = slices.Delete(of[tag], i, i+1)
					total--
				}
				h.drop(tag, number)
			default:
				h.add(tag, number)
				of[tag] = append(of[tag], number)
				total++
			}
			if h.n != total {
				t.Fatalf("%d, want %d", h.n, total)
			}
			for tag, want := range of {
				got := slices.Collect(h.under(tag))
				slices.Sort(got)
				want = slices.Sorted(slices.Values(want))
				if !slices.Equal(got, want) {
					t.Fatalf("under %d: %v, want %v", tag, got, want)
				}
			}
		}
	})
}

// TestHintsStaySmall: where as many go as come, the table does not grow.
func TestHintsStaySmall(t *testing.T) {
	var h hints
	const held = 1500
	for i := range uint32(200_000) {
		h.add(i*2_654_435_761, i)
		if i >= held {
			h.drop((i-held)*2_654_435_761, i-held)
		}
	}
	if h.n != held || len(h.slots) != 2048 {
		t.Errorf("%d held in %d slots", h.n, len(h.slots))
	}
}
