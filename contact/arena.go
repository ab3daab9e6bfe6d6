package contact

// pieceSize is what an arena asks for at a time; there are shards arenas.
const pieceSize = 16 << 10

// An arena holds packed persons one behind the other in a few pieces of memory:
// the garbage collector looks at pieces, not at people. A piece is never written
// over, so what was given out stays as it is; one that nobody refers to any more
// is left to the collector.
type arena struct {
	pieces     [][]byte
	live, dead int // bytes
}

// A span is where a person lies; none is the zero span.
type span struct {
	piece, from, size uint32
}

func (a *arena) get(at span) packed {
	if at.size == 0 {
		return nil
	}
	return a.pieces[at.piece][at.from : at.from+at.size : at.from+at.size]
}

func (a *arena) add(p packed) span {
	last := len(a.pieces) - 1
	if last < 0 || len(p) > cap(a.pieces[last])-len(a.pieces[last]) {
		a.pieces = append(a.pieces, make([]byte, 0, max(pieceSize, len(p))))
		last++
	}
	from := len(a.pieces[last])
	a.pieces[last] = append(a.pieces[last], p...)
	a.live += len(p)
	return span{uint32(last), uint32(from), uint32(len(p))}
}

func (a *arena) drop(at span) {
	a.live -= int(at.size)
	a.dead += int(at.size)
}

// worn reports whether a quarter of the arena is of no use.
func (a *arena) worn() bool { return a.dead > pieceSize && a.dead > a.live/3 }
