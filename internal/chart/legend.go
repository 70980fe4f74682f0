package chart

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The measures of what stands above the axes, in pixels.
const (
	margin      = 8
	titleHeight = 20
	rowHeight   = 18
	swatch      = 26
	spacing     = 14
)

// entry is a name in the legend, with how its series is drawn.
type entry struct {
	name  string
	line  *draw.LineStyle
	glyph *draw.GlyphStyle
	fill  bool // a filled box, in the colour of line
}

// words is how text is drawn.
func words(size vg.Length, bold bool) text.Style {
	return text.Style{Color: inkColor, Font: sans(size, bold), YAlign: text.YCenter, Handler: plot.DefaultTextHandler}
}

// frame draws the title, the legend row by row, and the names of the axes, and returns the
// area within. A legend of one entry says nothing that the title does not.
func (c *canvas) frame(title string, legend []entry, x, y string) draw.Canvas {
	top, bottom := vg.Length(c.height)-margin, vg.Length(margin)
	if title != "" {
		style := words(13, true)
		c.draw.FillText(style, vg.Point{X: margin, Y: top - titleHeight/2}, shortened(style, title, vg.Length(c.width)-2*margin))
		top -= titleHeight
	}
	if len(legend) > 1 {
		top = c.legend(legend, top)
	}
	style := words(11, false)
	if y != "" {
		c.draw.FillText(style, vg.Point{X: margin, Y: top - rowHeight/2}, shortened(style, y, vg.Length(c.width)-2*margin))
		top -= rowHeight
	}
	if x != "" {
		style.XAlign = text.XRight
		c.draw.FillText(style, vg.Point{X: vg.Length(c.width) - margin, Y: bottom + rowHeight/3}, shortened(style, x, vg.Length(c.width)-2*margin))
		bottom += rowHeight
	}
	return draw.Crop(c.draw, margin, -margin, bottom, top-vg.Length(c.height)-margin/2)
}

// legend draws the entries from y downwards, and returns where they end.
func (c *canvas) legend(legend []entry, y vg.Length) vg.Length {
	style, x := words(11, false), vg.Length(margin)
	room := vg.Length(c.width) - 2*margin
	y -= rowHeight
	for _, e := range legend {
		name := shortened(style, e.name, room-swatch)
		width := swatch + style.Width(name)
		if x > margin && x+width > room {
			x, y = margin, y-rowHeight
		}
		middle := y + rowHeight/2
		c.swatch(e, x, middle)
		c.draw.FillText(style, vg.Point{X: x + swatch, Y: middle}, name)
		x += width + spacing
	}
	return y
}

func (c *canvas) swatch(e entry, x, y vg.Length) {
	const end = swatch - 6
	switch {
	case e.fill:
		c.draw.FillPolygon(e.line.Color, []vg.Point{{X: x + 4, Y: y - 5}, {X: x + end, Y: y - 5}, {X: x + end, Y: y + 5}, {X: x + 4, Y: y + 5}})
		return
	case e.line != nil:
		c.draw.StrokeLine2(*e.line, x, y, x+end, y)
	}
	if e.glyph != nil {
		c.draw.DrawGlyphNoClip(*e.glyph, vg.Point{X: x + end/2, Y: y})
	}
}

// shortened leaves out the middle of a text that is too wide.
func shortened(style text.Style, s string, width vg.Length) string {
	if style.Width(s) <= width {
		return s
	}
	runes := []rune(s)
	for keep := len(runes) - 1; keep > 1; keep-- {
		head := keep / 2
		out := string(runes[:head]) + "…" + string(runes[len(runes)-(keep-head):])
		if style.Width(out) <= width {
			return out
		}
	}
	return "…"
}
