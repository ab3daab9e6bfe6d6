package contact

import "iter"

// Hints are numbers under 32 random bits of a key, in eight bytes each: a third
// of a map's memory, nothing for the garbage collector to look at, and no growth
// where as many go as come. Whoever asks compares the key itself.
type hints struct {
	slots []hint // a power of two of them, or none
	n     int
}

// A hint lies in the first free slot from the one its tag names; the zero hint
// is free.
type hint struct {
	tag   uint32
	above uint32 // one more than the number
}

// under gives the numbers under a tag.
func (h *hints) under(tag uint32) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := h.home(tag); len(h.slots) > 0 && h.slots[i].above != 0; i = h.after(i) {
			if one := h.slots[i]; one.tag == tag && !yield(one.above-1) {
				return
			}
		}
	}
}

// first gives one number under a tag.
func (h *hints) first(tag uint32) (number uint32, ok bool) {
	for number = range h.under(tag) {
		return number, true
	}
	return 0, false
}

// add puts a number under a tag, beside others.
func (h *hints) add(tag, number uint32) {
	if h.n >= len(h.slots)*7/8 {
		before := h.slots
		h.slots, h.n = make([]hint, max(2*len(before), 8)), 0
		for _, one := range before {
			if one.above != 0 {
				h.add(one.tag, one.above-1)
			}
		}
	}
	i := h.home(tag)
	for h.slots[i].above != 0 {
		i = h.after(i)
	}
	h.slots[i] = hint{tag, number + 1}
	h.n++
}

// set puts a number under a tag in place of whatever is there.
func (h *hints) set(tag, number uint32) {
	for i := h.home(tag); len(h.slots) > 0 && h.slots[i].above != 0; i = h.after(i) {
		if h.slots[i].tag == tag {
			h.slots[i].above = number + 1
			return
		}
	}
	h.add(tag, number)
}

// drop takes a number from under a tag, if it is there.
func (h *hints) drop(tag, number uint32) {
	if len(h.slots) == 0 {
		return
	}
	gap := h.home(tag)
	for h.slots[gap] != (hint{tag, number + 1}) {
		if h.slots[gap].above == 0 {
			return
		}
		gap = h.after(gap)
	}
	h.n--
	// What comes behind moves up, unless it lies where it belongs.
	for i := h.after(gap); h.slots[i].above != 0; i = h.after(i) {
		if home := h.home(h.slots[i].tag); (i-home)&h.mask() >= (i-gap)&h.mask() {
			h.slots[gap] = h.slots[i]
			gap = i
		}
	}
	h.slots[gap] = hint{}
}

func (h *hints) mask() uint32             { return uint32(len(h.slots) - 1) }
func (h *hints) home(tag uint32) uint32   { return tag & h.mask() }
func (h *hints) after(slot uint32) uint32 { return (slot + 1) & h.mask() }
