package bench

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// A Bar is one line of a plot.
type Bar struct {
	Label string
	Value float64
	Good  bool // painted as ours
}

// Plot writes bars as an SVG picture that reads on light and on dark pages.
func Plot(w io.Writer, title, unit string, bars []Bar) error {
	const (
		width, left, right = 790, 330, 110
		line, top          = 30, 44
	)
	var most float64
	for _, b := range bars {
		most = max(most, b.Value)
	}
	height := top + line*len(bars) + 10
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s" font-family="system-ui, sans-serif" font-size="13">
<style>text{fill:#24292f}@media (prefers-color-scheme:dark){text{fill:#e6edf3}}</style>
<text x="8" y="24" font-size="15" font-weight="600">%s</text>
`, width, height, html.EscapeString(title), html.EscapeString(title))
	for i, b := range bars {
		y := top + line*i
		length := 0.0
		if most > 0 {
			length = b.Value / most * float64(width-left-right)
		}
		colour := "#8b949e"
		if b.Good {
			colour = "#1f883d"
		}
		fmt.Fprintf(&s, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="18" rx="3" fill="%s"/><text x="%.1f" y="%d">%.0f %s</text>
`, left-10, y+14, html.EscapeString(b.Label), left, y, max(length, 1), colour, float64(left)+length+8, y+14, b.Value, html.EscapeString(unit))
	}
	s.WriteString("</svg>\n")
	_, err := io.WriteString(w, s.String())
	return err
}
