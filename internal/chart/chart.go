// Package chart draws the pictures of reports: lines, points and bars as SVG, by gonum's
// plot. Colours are CSS custom properties with fallbacks, so that the page around a
// picture can theme it and a picture alone can still be read. The same input gives the same
// bytes.
package chart

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Style is how a series is drawn.
type Style int

const (
	Line    Style = iota // joined in the order of the points; points with labels have dots, and one alone
	Scatter              // dots alone
	Guide                // a thin grey line to read the others by
)

// Series is a list of points with a name. Points that are not finite, or not positive
// along a logarithmic axis, are left out.
type Series struct {
	Name  string
	Style Style
	X, Y  []float64
	// Labels, where there are any, has one text per point, shown when a pointer rests
	// on it.
	Labels []string
	// Links, where there are any, has one address per point, which it leads to; "" for none.
	Links []string
}

// Mark is one point that stands out.
type Mark struct {
	X, Y float64
	Name string
}

// Plot is a picture of series over two axes.
type Plot struct {
	// Title is drawn above the picture and names it to those who do not see it; Desc
	// tells them what it shows.
	Title, Desc string
	// X and Y name the axes.
	X, Y string
	// LogX and LogY make axes logarithmic; XPercent and YPercent write 0.5 as 50 %.
	LogX, LogY         bool
	XPercent, YPercent bool
	Series             []Series
	Mark               *Mark
	// Width and Height are in pixels; 0 means 640 and 400.
	Width, Height float64
}

// errNothing says that no point can be drawn.
var errNothing = errors.New("chart: there is nothing to draw: no point is finite and, along logarithmic axes, positive")

// SVG draws a plot. It is an error when coordinates and labels differ in number, or no
// point can be drawn.
func SVG(p Plot) ([]byte, error) {
	series := make([]Series, len(p.Series))
	points := 0
	for i, s := range p.Series {
		if len(s.X) != len(s.Y) || len(s.Labels) > 0 && len(s.Labels) != len(s.X) || len(s.Links) > 0 && len(s.Links) != len(s.Labels) {
			return nil, fmt.Errorf("chart: series %q has %d x, %d y, %d labels and %d links; want as many of each, and labels with links", s.Name, len(s.X), len(s.Y), len(s.Labels), len(s.Links))
		}
		series[i] = p.drawable(s)
		points += len(series[i].X)
	}
	if p.Mark != nil && !p.shows(p.Mark.X, p.Mark.Y) {
		p.Mark = nil
	}
	if points == 0 {
		return nil, errNothing
	}
	g := newPlot()
	g.X.Tick.Marker, g.Y.Tick.Marker = marker(p.LogX, p.XPercent), marker(p.LogY, p.YPercent)
	if p.LogX {
		g.X.Scale = plot.LogScale{}
	}
	if p.LogY {
		g.Y.Scale = plot.LogScale{}
	}
	g.Add(newGrid())
	var legend []entry
	for i, s := range series {
		e, err := addSeries(g, s, look(i))
		if err != nil {
			return nil, err
		}
		if e != nil && s.Name != "" {
			legend = append(legend, *e)
		}
	}
	if p.Mark != nil {
		e, err := addMark(g, *p.Mark)
		if err != nil {
			return nil, err
		}
		if p.Mark.Name != "" {
			legend = append(legend, e)
		}
	}
	widen(&g.X, p.LogX)
	widen(&g.Y, p.LogY)
	c := newCanvas(orDefault(p.Width, 640), orDefault(p.Height, 400))
	area := c.frame(p.Title, legend, p.X, p.Y)
	g.Draw(area)
	c.tips(g, area, series, p.Mark)
	return c.bytes(p.Title, p.Desc)
}

func orDefault(v, d float64) float64 {
	if v <= 0 {
		return d
	}
	return v
}

// most is the largest number that is drawn: between two of them the distance is finite.
const most = 1e150

// shows tells whether a point has a place on the axes.
func (p *Plot) shows(x, y float64) bool {
	place := func(v float64, log bool) bool { return math.Abs(v) <= most && (!log || v >= 1/most) }
	return place(x, p.LogX) && place(y, p.LogY)
}

// widen gives an axis on which all points are in one place a length.
func widen(a *plot.Axis, log bool) {
	switch {
	case a.Min < a.Max:
	case log:
		a.Min, a.Max = a.Min/2, a.Max*2
	case a.Min == 0:
		a.Max = 1
	default:
		by := math.Abs(a.Min) / 2
		a.Min, a.Max = a.Min-by, a.Max+by
	}
}

// drawable leaves out the points that have no place.
func (p *Plot) drawable(s Series) Series {
	out := Series{Name: s.Name, Style: s.Style}
	for i := range s.X {
		if !p.shows(s.X[i], s.Y[i]) {
			continue
		}
		out.X, out.Y = append(out.X, s.X[i]), append(out.Y, s.Y[i])
		if len(s.Labels) > 0 {
			out.Labels = append(out.Labels, s.Labels[i])
		}
		if len(s.Links) > 0 {
			out.Links = append(out.Links, s.Links[i])
		}
	}
	return out
}

// xys is a series as gonum reads it.
func (s Series) xys() plotter.XYs {
	out := make(plotter.XYs, len(s.X))
	for i := range out {
		out[i] = plotter.XY{X: s.X[i], Y: s.Y[i]}
	}
	return out
}

// addSeries draws a series, and returns how the legend has it; nil where it has no points.
func addSeries(g *plot.Plot, s Series, l appearance) (*entry, error) {
	if len(s.X) == 0 {
		return nil, nil
	}
	e := entry{name: s.Name}
	if s.Style != Scatter {
		line, err := plotter.NewLine(s.xys())
		if err != nil {
			return nil, fmt.Errorf("chart: series %q: %w", s.Name, err)
		}
		line.Color, line.Width, line.Dashes = l.color, 2, l.dashes
		if s.Style == Guide {
			line.Color, line.Width, line.Dashes = axisColor, 1, nil
		}
		g.Add(line)
		e.line = &line.LineStyle
	}
	if s.Style == Scatter || (len(s.Labels) > 0 || len(s.X) == 1) && s.Style != Guide {
		dots, err := plotter.NewScatter(s.xys())
		if err != nil {
			return nil, fmt.Errorf("chart: series %q: %w", s.Name, err)
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: l.color, Radius: 3, Shape: l.shape}
		g.Add(dots)
		e.glyph = &dots.GlyphStyle
	}
	return &e, nil
}

func addMark(g *plot.Plot, m Mark) (entry, error) {
	ring, err := plotter.NewScatter(plotter.XYs{{X: m.X, Y: m.Y}})
	if err != nil {
		return entry{}, fmt.Errorf("chart: the mark %q: %w", m.Name, err)
	}
	ring.GlyphStyle = draw.GlyphStyle{Color: markColor, Radius: 7, Shape: ringGlyph{}}
	g.Add(ring)
	return entry{name: m.Name, glyph: &ring.GlyphStyle}, nil
}

// ringGlyph is a circle with a thick line.
type ringGlyph struct{}

// DrawGlyph implements draw.GlyphDrawer.
func (ringGlyph) DrawGlyph(c *draw.Canvas, s draw.GlyphStyle, p vg.Point) {
	c.SetLineStyle(draw.LineStyle{Color: s.Color, Width: 2.5})
	var path vg.Path
	path.Move(vg.Point{X: p.X + s.Radius, Y: p.Y})
	path.Arc(p, s.Radius, 0, 2*math.Pi)
	path.Close()
	c.Stroke(path)
}

// newPlot is an empty plot in the house's dress. Its axes have no names: gonum keeps room
// for one in the wrong place of a logarithmic axis.
func newPlot() *plot.Plot {
	g := plot.New()
	g.BackgroundColor = nil
	for _, a := range []*plot.Axis{&g.X, &g.Y} {
		a.Tick.Label.Font, a.Tick.Label.Color = sans(11, false), inkColor
		a.Tick.LineStyle.Color, a.Tick.LineStyle.Width, a.Tick.Length = axisColor, 1, 5
		a.LineStyle.Color, a.LineStyle.Width = axisColor, 1
	}
	return g
}

func newGrid() *plotter.Grid {
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Vertical.Width = gridColor, 1
	grid.Horizontal.Color, grid.Horizontal.Width = gridColor, 1
	return grid
}

// canvas is the picture while it is drawn.
type canvas struct {
	svg           *vgsvg.Canvas
	draw          draw.Canvas
	width, height float64
	over          []tip
}

func newCanvas(width, height float64) *canvas {
	c := &canvas{svg: vgsvg.New(vg.Length(width), vg.Length(height)), width: width, height: height}
	c.draw = draw.New(c.svg)
	c.draw.SetColor(paperColor)
	c.draw.Fill(c.draw.Rectangle.Path())
	return c
}
