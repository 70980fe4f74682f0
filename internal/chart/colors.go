package chart

import (
	"fmt"
	"image/color"

	weight "golang.org/x/image/font"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The colours as they are on white paper. Each is the fallback of a custom property, by
// which a page sets its own; those of text keep 7:1, those of lines 3:1 against paper.
var (
	inkColor   = color.NRGBA{0x1f, 0x29, 0x33, 0xff}
	axisColor  = color.NRGBA{0x59, 0x63, 0x6e, 0xff}
	gridColor  = color.NRGBA{0xe3, 0xe7, 0xeb, 0xff}
	markColor  = color.NRGBA{0xc0, 0x26, 0x2d, 0xff}
	paperColor = color.NRGBA{0xff, 0xff, 0xff, 0xff}
)

// appearance tells series apart, by more than their colour.
type appearance struct {
	color  color.NRGBA
	dashes []vg.Length
	shape  draw.GlyphDrawer
}

func looks() []appearance {
	return []appearance{
		{color.NRGBA{0x0b, 0x62, 0xa8, 0xff}, nil, draw.CircleGlyph{}},
		{color.NRGBA{0xb3, 0x54, 0x0a, 0xff}, []vg.Length{7, 3}, draw.BoxGlyph{}},
		{color.NRGBA{0x0a, 0x7a, 0x5a, 0xff}, []vg.Length{2, 3}, draw.PyramidGlyph{}},
		{color.NRGBA{0x8a, 0x3f, 0xa0, 0xff}, []vg.Length{7, 3, 2, 3}, draw.CrossGlyph{}},
		{color.NRGBA{0x7a, 0x6a, 0x01, 0xff}, []vg.Length{12, 3}, draw.PlusGlyph{}},
		{color.NRGBA{0xb0, 0x30, 0x5c, 0xff}, []vg.Length{4, 2}, draw.RingGlyph{}},
	}
}

// look is the appearance of the series with that number; they repeat.
func look(i int) appearance {
	all := looks()
	return all[i%len(all)]
}

// property is a colour's custom property.
type property struct{ hex, name string }

func properties() []property {
	hex := func(c color.NRGBA) string { return fmt.Sprintf("#%02X%02X%02X", c.R, c.G, c.B) }
	out := []property{
		{hex(inkColor), "--ink"}, {hex(axisColor), "--axis"}, {hex(gridColor), "--grid"}, {hex(markColor), "--mark"}, {hex(paperColor), "--paper"},
	}
	for i, l := range looks() {
		out = append(out, property{hex(l.color), fmt.Sprintf("--c%d", i+1)})
	}
	return out
}

// sans is a font without serifs, whose widths are those of the families that the
// picture names.
func sans(size vg.Length, bold bool) font.Font {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	if bold {
		f.Weight = weight.WeightBold
	}
	return f
}
