package chart

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Bars is a picture of numbers by name, as bars to the right, the first name on top.
type Bars struct {
	// Title and Desc are as in Plot; X names the axis of the numbers.
	Title, Desc, X string
	XPercent       bool
	Names          []string
	Series         []BarSeries
	// Width is in pixels; 0 means 640. The height follows from the names.
	Width float64
}

// BarSeries has a number for each name. One that is not finite has no bar.
type BarSeries struct {
	Name   string
	Values []float64
	// Labels, where there are any, has one text per number, shown when a pointer rests
	// on its bar.
	Labels []string
}

// The measures of bars, in pixels.
const (
	barWidth = 11
	barSpace = 6
	nameRoom = 0.36 // the most that names take, of the width
)

// BarsSVG draws bars. It is an error when names, numbers and labels differ in number, or
// there are none.
func BarsSVG(b Bars) ([]byte, error) {
	n := len(b.Names)
	if n == 0 || len(b.Series) == 0 {
		return nil, fmt.Errorf("chart: there is nothing to draw: %d names and %d series", n, len(b.Series))
	}
	for _, s := range b.Series {
		if len(s.Values) != n || len(s.Labels) > 0 && len(s.Labels) != n {
			return nil, fmt.Errorf("chart: series %q has %d numbers and %d labels for %d names", s.Name, len(s.Values), len(s.Labels), n)
		}
	}
	width := orDefault(b.Width, 640)
	g := newPlot()
	g.X.Tick.Marker = marker(false, b.XPercent)
	g.X.Padding, g.Y.Padding = 2, 0
	grid := newGrid()
	grid.Horizontal.Width = 0
	g.Add(grid)
	g.X.Min, g.X.Max = 0, 0 // bars begin at 0
	g.Y.Min, g.Y.Max = -0.5, float64(n)-0.5
	var legend []entry
	for i, s := range b.Series {
		chart, err := s.chart(n, float64(len(b.Series)-1)/2-float64(i), look(i))
		if err != nil {
			return nil, err
		}
		g.Add(chart)
		legend = append(legend, entry{name: s.Name, line: &draw.LineStyle{Color: look(i).color}, fill: true})
	}
	widen(&g.X, false)
	g.Y.Tick.Marker, g.Y.Tick.Length, g.Y.Tick.Label.Font = b.names(width), 0, sans(11, false)
	row := float64(barWidth*len(b.Series) + barSpace)
	c := newCanvas(width, row*float64(n)+titleHeight+2*rowHeight+3*margin+20)
	area := c.frame(b.Title, legend, b.X, "")
	g.Draw(area)
	c.barTips(g, area, b, row)
	return c.bytes(b.Title, b.Desc)
}

// chart is the series bottom up, as gonum draws it, place bars away from the middle of each
// row.
func (s BarSeries) chart(n int, place float64, l appearance) (*plotter.BarChart, error) {
	values := make(plotter.Values, n)
	for i, v := range s.Values {
		if math.Abs(v) <= most {
			values[n-1-i] = v
		}
	}
	chart, err := plotter.NewBarChart(values, barWidth-1)
	if err != nil {
		return nil, fmt.Errorf("chart: series %q: %w", s.Name, err)
	}
	chart.Horizontal, chart.Color, chart.LineStyle.Width = true, l.color, 0
	chart.Offset = vg.Length(place * barWidth)
	return chart, nil
}

// names are the ticks of the rows.
func (b *Bars) names(width float64) plot.Ticker {
	style := words(11, false)
	ticks := make(plot.ConstantTicks, len(b.Names))
	for i, name := range b.Names {
		ticks[i] = plot.Tick{Value: float64(len(b.Names) - 1 - i), Label: shortened(style, name, vg.Length(nameRoom*width))}
	}
	return ticks
}
