package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot"
)

func sample() Plot {
	return Plot{
		Title: "loss <by> budget", Desc: "falls & falls", X: "budget", Y: "loss", LogY: true, XPercent: true,
		Series: []Series{
			{Name: "found", X: []float64{0.2, 0.4, 0.6, 1}, Y: []float64{3, 0.4, 0.02, 0}, Labels: []string{"a <1>", "b", "c", "left out"}},
			{Name: "bound", Style: Guide, X: []float64{0.2, 0.6}, Y: []float64{2.5, 0.019}},
			{Name: "tried", Style: Scatter, X: []float64{0.3, math.NaN()}, Y: []float64{1, 1}},
		},
		Mark: &Mark{X: 0.4, Y: 0.4, Name: "chosen"},
	}
}

// elements parses a picture and returns its elements in order, and all of its text.
func elements(t *testing.T, svg []byte) (names []string, text string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return names, text
		}
		if err != nil {
			t.Fatalf("not XML: %v\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			names = append(names, token.Name.Local)
		case xml.CharData:
			text += string(token) + "\n"
		}
	}
}

func drawn(t *testing.T, p Plot) []byte {
	t.Helper()
	svg, err := SVG(p)
	if err != nil {
		t.Fatal(err)
	}
	return svg
}

func TestSVG(t *testing.T) {
	svg := drawn(t, sample())
	names, text := elements(t, svg)
	if !slices.Equal(names[:3], []string{"svg", "title", "desc"}) {
		t.Errorf("begins with %q", names[:3])
	}
	for _, want := range []string{"loss <by> budget", "falls & falls", "found", "bound", "tried", "chosen", "a <1>", "20 %", "60 %", "budget", "loss", "0.1"} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("the text %q is not in the picture:\n%s", want, text)
		}
	}
	if strings.Contains(text, "left out") {
		t.Error("a point at zero has a place on a logarithmic axis")
	}
	for _, want := range []string{`role="img"`, `viewBox="0 0 640 400"`, "fill:var(--ink,#1F2933)", "stroke:var(--c1,#0B62A8)", "stroke:var(--mark,#C0262D)", "stroke:var(--grid,#E3E7EB)"} {
		if !bytes.Contains(svg, []byte(want)) {
			t.Errorf("%s is not in the picture", want)
		}
	}
	if !bytes.Equal(svg, drawn(t, sample())) {
		t.Error("the same plot gives other bytes")
	}
}

// TestColours: every colour in a picture is a property that a page can set, on paper enough
// of a contrast, and no two are the same.
func TestColours(t *testing.T) {
	svg := string(drawn(t, sample()))
	for _, part := range strings.Split(svg, "#")[1:] {
		hex := "#" + part[:6]
		if !slices.ContainsFunc(properties(), func(p property) bool { return p.hex == hex }) {
			t.Errorf("the colour %s cannot be themed", hex)
		}
	}
	seen := map[string]bool{}
	for _, p := range properties() {
		if seen[p.hex] {
			t.Errorf("%s is there twice", p.hex)
		}
		seen[p.hex] = true
		least := 3.0
		switch p.name {
		case "--grid", "--paper":
			continue
		case "--ink":
			least = 7
		}
		if got := 1.05 / (luminance(t, p.hex) + 0.05); got < least {
			t.Errorf("%s %s has a contrast of %.2f on white, want %g", p.name, p.hex, got, least)
		}
	}
}

// luminance is the relative luminance of WCAG 2.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		digits := strings.ToLower(hex[1+2*i : 3+2*i])
		v := float64(16*strings.IndexByte("0123456789abcdef", digits[0])+strings.IndexByte("0123456789abcdef", digits[1])) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}

func TestNothingToDraw(t *testing.T) {
	for name, p := range map[string]Plot{
		"no series":    {},
		"no points":    {Series: []Series{{Name: "s"}}},
		"not finite":   {Series: []Series{{X: []float64{math.Inf(1)}, Y: []float64{1}}}},
		"not positive": {LogX: true, Series: []Series{{X: []float64{0}, Y: []float64{1}}}},
	} {
		if _, err := SVG(p); !errors.Is(err, errNothing) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for name, p := range map[string]Plot{
		"y":      {Series: []Series{{Name: "odd", X: []float64{1, 2}, Y: []float64{1}}}},
		"labels": {Series: []Series{{Name: "odd", X: []float64{1}, Y: []float64{1}, Labels: []string{"a", "b"}}}},
	} {
		if _, err := SVG(p); err == nil || !strings.Contains(err.Error(), `"odd"`) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for name, b := range map[string]Bars{
		"empty":  {},
		"values": {Names: []string{"a"}, Series: []BarSeries{{Name: "odd"}}},
		"labels": {Names: []string{"a"}, Series: []BarSeries{{Name: "odd", Values: []float64{1}, Labels: []string{"x", "y"}}}},
	} {
		if _, err := BarsSVG(b); err == nil {
			t.Errorf("bars, %s: no error", name)
		}
	}
}

// TestAnyNumbers draws what no measurement gives, too: it must be XML, or be refused.
func TestAnyNumbers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	odd := []float64{0, 1, -1, 1e-300, 1e300, math.MaxFloat64, math.NaN(), math.Inf(-1), 5e-324, 0.5, 1e-9, 1e9, 12345678}
	number := func() float64 {
		v := odd[random.IntN(len(odd))]
		if random.IntN(2) == 0 {
			v *= random.NormFloat64()
		}
		return v
	}
	for range 150 {
		p := Plot{Title: "odd", LogX: random.IntN(2) == 0, LogY: random.IntN(2) == 0, XPercent: random.IntN(2) == 0, Width: 200, Height: 160}
		for range 1 + random.IntN(3) {
			s := Series{Name: strings.Repeat("n", random.IntN(90)), Style: Style(random.IntN(3))}
			for range random.IntN(4) {
				s.X, s.Y = append(s.X, number()), append(s.Y, number())
			}
			p.Series = append(p.Series, s)
		}
		p.Mark = &Mark{X: number(), Y: number(), Name: "mark"}
		svg, err := SVG(p)
		if errors.Is(err, errNothing) {
			continue
		}
		if err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		if elements(t, svg); bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
			t.Fatalf("%+v:\n%s", p, svg)
		}
	}
}

func TestBars(t *testing.T) {
	b := Bars{
		Title: "errors", X: "lost", XPercent: true, Names: []string{"/first/conv", strings.Repeat("long", 40), "last"},
		Series: []BarSeries{
			{Name: "before", Values: []float64{0.1, 0.02, math.NaN()}, Labels: []string{"first: 10 %", "second", "third"}},
			{Name: "after", Values: []float64{0.05, 0, 0.01}},
		},
	}
	svg, err := BarsSVG(b)
	if err != nil {
		t.Fatal(err)
	}
	_, text := elements(t, svg)
	for _, want := range []string{"errors", "lost", "/first/conv", "last", "before", "after", "first: 10 %", "third", "10 %"} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("%q is not in the picture:\n%s", want, text)
		}
	}
	if strings.Contains(text, b.Names[1]) || !strings.Contains(text, "\nlonglong") || !strings.Contains(text, "…") {
		t.Errorf("the long name is not shortened:\n%s", text)
	}
	if again, err := BarsSVG(b); err != nil || !bytes.Equal(again, svg) {
		t.Errorf("other bytes, or %v", err)
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		log, percent bool
		low, high    float64
		want         string
	}{
		{low: 0, high: 1, want: "0 0.2 0.4 0.6 0.8 1"},
		{low: 0, high: 1, percent: true, want: "0 % 20 % 40 % 60 % 80 % 100 %"},
		{low: -1, high: 1, want: "−1 −0.5 0 0.5 1"},
		{low: 0.001, high: 0.0042, want: "0.001 0.002 0.003 0.004"},
		{low: 0, high: 4.2e7, want: "0 10 M 20 M 30 M 40 M"},
		{low: 0, high: 30000, want: "0 5000 10 k 15 k 20 k 25 k 30 k"},
		{low: 0, high: 3e-9, want: "0 5·10⁻¹⁰ 10⁻⁹ 1.5·10⁻⁹ 2·10⁻⁹ 2.5·10⁻⁹ 3·10⁻⁹"},
		{log: true, low: 0.01, high: 1, want: "0.01 0.02 0.05 0.1 0.2 0.5 1"},
		{log: true, low: 1e-9, high: 1, want: "10⁻⁹ 10⁻⁸ 10⁻⁷ 10⁻⁶ 10⁻⁵ 10⁻⁴ 0.001 0.01 0.1 1"},
		{log: true, low: 2.2, high: 4.8, want: "2.5 3 3.5 4 4.5"},
		{log: true, percent: true, low: 0.0001, high: 1, want: "0.01 % 0.1 % 1 % 10 % 100 %"},
	} {
		var got []string
		for _, tick := range marker(c.log, c.percent).Ticks(c.low, c.high) {
			got = append(got, tick.Label)
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%+v: %q", c, text)
		}
	}
}

// TestTicksAreFew on any axis, in order, and within it.
func TestTicksAreFew(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		low := math.Exp(40 * random.NormFloat64())
		high := low * (1 + math.Exp(6*random.NormFloat64()))
		log := random.IntN(2) == 0
		ticks := marker(log, false).Ticks(low, high)
		if len(ticks) > 2*wantedTicks+2 {
			t.Fatalf("%d ticks from %g to %g", len(ticks), low, high)
		}
		if !slices.IsSortedFunc(ticks, func(a, b plot.Tick) int {
			switch {
			case a.Value < b.Value:
				return -1
			case a.Value > b.Value:
				return 1
			}
			return 0
		}) {
			t.Fatalf("ticks from %g to %g are not in order: %v", low, high, ticks)
		}
		for _, tick := range ticks {
			if tick.Value < low || tick.Value > high {
				t.Fatalf("from %g to %g there is a tick at %g", low, high, tick.Value)
			}
		}
	}
}

// TestAlone: a point that has no neighbour to be joined with can be seen.
func TestAlone(t *testing.T) {
	one := drawn(t, Plot{Series: []Series{{X: []float64{1}, Y: []float64{1}}}})
	two := drawn(t, Plot{Series: []Series{{X: []float64{1, 2}, Y: []float64{1, 2}}}})
	if dots, lines := strings.Count(string(one), ` fill="#0B62A8"`), strings.Count(string(two), ` fill="#0B62A8"`); dots != 1 || lines != 0 {
		t.Errorf("%d dots for one point, %d for a line", dots, lines)
	}
}
