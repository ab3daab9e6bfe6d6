package api

import "strconv"

// A path is the way to a field, put into words only when something is wrong
// with it: on the hot path nothing is. The zero path is the whole body.
type path struct {
	up   *path
	name string
	n    int // 1 + the place in an array; 0 = a field
}

func root(name string) path { return path{name: name} }

func (p path) dot(name string) path { return path{up: &p, name: name} }

func (p path) in(i int) path { return path{up: &p, n: i + 1} }

// String gives "route[1].next_if".
func (p *path) String() string { return string(p.append(nil)) }

func (p *path) append(b []byte) []byte {
	if p.up != nil {
		b = p.up.append(b)
	}
	switch {
	case p.n > 0:
		b = append(strconv.AppendInt(append(b, '['), int64(p.n-1), 10), ']')
	case p.name != "":
		if len(b) > 0 {
			b = append(b, '.')
		}
		b = append(b, p.name...)
	}
	return b
}
