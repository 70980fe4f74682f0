package report

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/chart"
	"github.com/onnx-compress/onnx-compress/verify"
)

// ExplorationPicture draws the frontier as SVG: what is left of the resource against what is
// kept of the model's behaviour, as far as that was measured: the agreement of top classes,
// and with labels the accuracy; the boxes that match; the letters that differ; the overlap of masks; the cosine of embeddings; the divergence of next tokens; else the signal to noise ratio; else the predicted loss. A point leads
// where link says, given its place in the exploration; a nil link leads nowhere.
func ExplorationPicture(e *compress.Exploration, link func(point int) string) ([]byte, error) {
	p := chart.Plot{
		Title: "What is kept at which size", XPercent: true,
		X: "left of the " + map[compress.Resource]string{compress.MACs: "multiply-adds", compress.Params: "parameters", compress.Bytes: "bytes", compress.RunTime: "time"}[e.Over],
	}
	agreement := seriesOf(e, "same top class", valueOf(verify.Agreement), link)
	cosines := seriesOf(e, "cosine", valueOf(verify.Cosine), link)
	boxes := seriesOf(e, "boxes that match", valueOf(verify.Boxes), link)
	letters := seriesOf(e, "letters that differ", valueOf(verify.CER), link)
	masks := seriesOf(e, "overlap of masks", valueOf(verify.IoU), link)
	divergences := seriesOf(e, "KL divergence", valueOf(verify.KL), link)
	ratios := seriesOf(e, "signal to noise", drawable, link)
	losses := seriesOf(e, "predicted", func(q *compress.Point) *float64 { return &q.Loss }, link)
	switch {
	case len(agreement.X) > 0:
		p.Y, p.YPercent, p.Series = "of the samples", true, []chart.Series{agreement}
		if accuracy := seriesOf(e, "top-1 accuracy", accuracyAfter, nil); len(accuracy.X) > 0 {
			p.Series = append(p.Series, accuracy)
		}
		if q := e.Smallest(Kept(e)); q != nil {
			v, _ := q.Value(verify.Agreement)
			p.Mark = &chart.Mark{X: shareOf(e, q), Y: v, Name: "the smallest with 99 %"}
		}
	case len(boxes.X) > 0:
		p.Y, p.YPercent, p.Series = "of the boxes", true, []chart.Series{boxes}
		if q := e.Smallest(Kept(e)); q != nil {
			v, _ := q.Value(verify.Boxes)
			p.Mark = &chart.Mark{X: shareOf(e, q), Y: v, Name: "the smallest with " + Percent(Kept(e).Value)}
		}
	case len(letters.X) > 0:
		p.Y, p.YPercent, p.Series = "of the letters differ", true, []chart.Series{letters}
	case len(masks.X) > 0:
		p.Y, p.YPercent, p.Series = "overlap", true, []chart.Series{masks}
	case len(cosines.X) > 0:
		p.Y, p.Series = "mean cosine", []chart.Series{cosines}
		if q := e.Smallest(Kept(e)); q != nil {
			v, _ := q.Value(verify.Cosine)
			p.Mark = &chart.Mark{X: shareOf(e, q), Y: v, Name: "the smallest with 0.99"}
		}
	case len(divergences.X) > 0:
		p.Y, p.Series = "KL divergence of the next token", []chart.Series{divergences}
	case len(ratios.X) > 0:
		p.Y, p.Series = "signal to noise in dB", []chart.Series{ratios}
	case len(losses.X) > 0:
		bounds := seriesOf(e, "least possible", func(q *compress.Point) *float64 { return &q.Bound }, nil)
		bounds.Style = chart.Guide
		p.Y, p.LogY, p.Series = lossTitle(e.Measure), true, []chart.Series{losses, bounds}
	default:
		return nil, errors.New("no budget can be reached, so that there is nothing to draw")
	}
	p.Desc = describePoints(e)
	return chart.SVG(p)
}

// seriesOf draws one value of the points that have it, and has them lead where link says.
func seriesOf(e *compress.Exploration, name string, value func(*compress.Point) *float64, link func(point int) string) chart.Series {
	s := chart.Series{Name: name}
	for i := range e.Points {
		q := &e.Points[i]
		v := value(q)
		if q.Why != "" || v == nil {
			continue
		}
		s.X, s.Y, s.Labels = append(s.X, shareOf(e, q)), append(s.Y, *v), append(s.Labels, PointText(e, q))
		if link != nil {
			s.Links = append(s.Links, link(i))
		}
	}
	return s
}

// valueOf reads a measure of a point.
func valueOf(m verify.Measure) func(q *compress.Point) *float64 {
	return func(q *compress.Point) *float64 {
		v, measured := q.Value(m)
		if !measured {
			return nil
		}
		return &v
	}
}

// drawable is the signal to noise ratio of a point where it can be drawn.
func drawable(q *compress.Point) *float64 {
	v, measured := q.Value(verify.SNR)
	if !measured || math.Abs(v) >= math.MaxFloat64 {
		return nil
	}
	return &v
}

func accuracyAfter(q *compress.Point) *float64 {
	if q.Accuracy == nil {
		return nil
	}
	return &q.Accuracy.After
}

// shareOf is what a point needs of the resource, as a share of the original.
func shareOf(e *compress.Exploration, q *compress.Point) float64 {
	before, after := e.Input.MACs, q.MACs
	switch e.Over {
	case compress.RunTime:
		if l := q.Latency; l != nil && l.Skipped == "" {
			return l.After / l.Before
		}
		return q.Budget
	case compress.Params:
		before, after = e.Input.Params, q.Params
	case compress.Bytes:
		before, after = e.Input.Bytes, q.Bytes
	}
	return float64(after) / float64(max(before, 1))
}

// PointText says what a point is.
func PointText(e *compress.Exploration, q *compress.Point) string {
	words := []string{fmt.Sprintf("%s: %s MACs", BudgetText(e, q), Count(q.MACs)), Count(q.Params) + " parameters", Bytes(q.Bytes)}
	for _, m := range measurements() {
		if text := m.of(q); text != none {
			words = append(words, m.title+" "+text)
		}
	}
	return strings.Join(words, ", ")
}

// describePoints says in words what the picture shows.
func describePoints(e *compress.Exploration) string {
	var out []string
	for i := range e.Points {
		if q := &e.Points[i]; q.Why == "" {
			out = append(out, PointText(e, q))
		}
	}
	return strings.Join(out, "; ")
}
