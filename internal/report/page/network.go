package page

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/chart"
	"github.com/onnx-compress/onnx-compress/internal/report"
)

// layerBar is a layer in the picture of the network: what it costs before and after, as shares in percent of what the costliest costs, what became of it,
// and the spectrum that it opens, if there is one.
type layerBar struct {
	Name, Said    string
	Before, After float64
	Spectrum      template.HTML
}

// networkBlocks draw the network, a bar for every layer in the order of the model, of which each opens what every method could have done there.
func networkBlocks(r *compress.Result) []block {
	at := sitesThat(r, func(compress.SiteResult) bool { return true })
	all := len(at)
	cost := func(i int) float64 { return float64(r.Sites[i].MACsBefore) }
	unit := "multiply-adds"
	if !slices.ContainsFunc(at, func(i int) bool { return cost(i) > 0 }) { // of open sizes
		cost, unit = func(i int) float64 { return float64(r.Sites[i].ParamsBefore) }, "parameters"
	}
	if all > drawnSpectra {
		at = largest(at, drawnSpectra, cost)
	}
	most := 0.0
	for _, i := range at {
		most = math.Max(most, cost(i))
	}
	var bars []layerBar
	spectra := false
	for _, i := range at {
		s := &r.Sites[i]
		b := layerBar{Name: s.Name, Spectrum: spectrumOf(s)}
		before, after, write := s.MACsBefore, s.MACsAfter, report.Count
		if unit == "parameters" {
			before, after = s.ParamsBefore, s.ParamsAfter
		}
		if most > 0 {
			b.Before, b.After = percentOf(before, most), percentOf(after, most)
		}
		b.Said = became(r, s)
		if before != after {
			b.Said += fmt.Sprintf(": %s → %s", write(before), write(after))
		} else {
			b.Said += ": " + write(before)
		}
		spectra = spectra || b.Spectrum != ""
		bars = append(bars, b)
	}
	said := fmt.Sprintf("The network, layer by layer, as far as there are weights that may change: the whole bar is what a layer takes of the %s, its strong part what is left.", unit)
	if all > len(at) {
		said += fmt.Sprintf(" Of %d layers, the %d that take most are shown.", all, len(at))
	}
	if spectra {
		said += " A layer opens what each method could have done there: the error against what is left, for each method that was on offer; the ring is what was chosen. A curve that falls early is a layer that is easy to compress."
	}
	return []block{text("%s", said), {Network: bars}}
}

// percentOf is a share in percent, with one digit behind the point.
func percentOf(n int64, most float64) float64 { return math.Round(1000*float64(n)/most) / 10 }

// became says what became of a layer: its method and rank, its widths.
func became(r *compress.Result, s *compress.SiteResult) string {
	var out []string
	if s.Method != compress.Dense {
		out = append(out, fmt.Sprintf("%s, rank %s", s.Method, rank(s.Rank)))
	}
	for _, x := range r.Axes {
		if len(x.Kept) == x.Units {
			continue
		}
		if slices.Contains(x.Producers, s.Name) {
			out = append(out, fmt.Sprintf("writes %s of %s channels", grouped(len(x.Kept)), grouped(x.Units)))
		}
		if slices.Contains(x.Readers, s.Name) {
			out = append(out, fmt.Sprintf("reads %s of %s channels", grouped(len(x.Kept)), grouped(x.Units)))
		}
	}
	if len(out) == 0 {
		return "as it was"
	}
	return strings.Join(out, ", ")
}

// spectrumOf draws a layer's spectrum, empty where no rank loses anything or none has a size.
func spectrumOf(s *compress.SiteResult) template.HTML {
	if len(s.Spectra) == 0 {
		return ""
	}
	svg, err := chart.SVG(spectrum(s))
	if err != nil {
		return ""
	}
	return template.HTML(svg) //nolint:gosec // it is drawn here, its texts escaped
}
