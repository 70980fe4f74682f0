package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/verify"
)

// exploration is a frontier with a point out of reach.
func exploration() *compress.Exploration {
	e := &compress.Exploration{
		Schema: compress.ExplorationSchema, Over: compress.MACs, Measure: compress.OutputChange, Samples: 1000, Data: "1512 records of 1×28×28 in fashion.bin",
		Input:       compress.File{Path: "model.onnx", Bytes: 714987, MACs: 20183488, Params: 176106},
		Calibration: &compress.Calibration{Source: "1512 records of 1×28×28 in fashion.bin", Samples: 512, Sweeps: 1},
		Stages:      []compress.Stage{{Name: "calibrate", Seconds: 1.25}, {Name: "factor", Seconds: 12}},
	}
	for i, agreement := range []float64{1, 0.991, 0.94} {
		share := []float64{0.9, 0.5, 0.125}[i]
		p := compress.Point{
			Budget: share, Path: "sizes/" + compress.ModelName("model.onnx", compress.MACs, share), MACs: int64(20183488 * share), Params: int64(150000 * share),
			Bytes: int64(700000 * share), Loss: 0.1 / share, Bound: 0.099 / share, Gap: 0.01, Agreement: &agreement, Seconds: 3.25,
			Accuracy: &compress.PointAccuracy{Labelled: 1000, Before: 0.947, After: agreement - 0.05}, Refit: &compress.RefitSummary{Kept: 11 - i},
			Outputs: []compress.PointOutput{{Name: "logits", SNR: ref(30 * share), Cosine: 0.99}, {Name: "more", Cosine: 1}},
			Schemes: []compress.SchemeCount{{Method: "svd", Sites: 10}, {Method: compress.Dense, Sites: 6}},
		}
		if i == 0 {
			p.Outputs = p.Outputs[1:]
			p.Refit = nil
		}
		e.Points = append(e.Points, p)
	}
	e.Points = append(e.Points, compress.Point{Budget: 0.01, Why: "target macs=0.01 cannot be met"})
	return e
}

// unmeasured is a frontier of predictions.
func unmeasured() *compress.Exploration {
	e := exploration()
	e.Calibration, e.Measure, e.Samples, e.Data, e.Unmeasured = nil, compress.EnergyShare, 0, "", "there are no samples"
	for i := range e.Points {
		p := &e.Points[i]
		p.Path, p.Outputs, p.Agreement, p.Accuracy, p.Refit = "", nil, nil, nil, nil
	}
	return e
}

// unclassed is a frontier of a model without classes.
func unclassed() *compress.Exploration {
	e := exploration()
	for i := range e.Points {
		e.Points[i].Agreement, e.Points[i].Accuracy = nil, nil
	}
	return e
}

// judged is a frontier of embeddings, or of another output that is judged by a measure; the largest model gives equal outputs.
func judged(m verify.Measure, values ...float64) *compress.Exploration {
	e := unclassed()
	for i, v := range values {
		e.Points[i+1].Judged = &verify.Judged{Measure: m, Output: "embedding", Value: &v, Samples: 1000, Text: "It is judged."}
	}
	e.Points[0].Judged = &verify.Judged{Measure: m, Output: "embedding", Samples: 1000, Text: "It is equal."}
	return e
}

func TestExplorationText(t *testing.T) {
	golden(t, "exploration", func(w io.Writer) error { return Exploration(w, exploration(), false) })
	golden(t, "exploration_verbose", func(w io.Writer) error { return Exploration(w, exploration(), true) })
	golden(t, "exploration_predicted", func(w io.Writer) error { return Exploration(w, unmeasured(), true) })
	golden(t, "exploration_embedding", func(w io.Writer) error { return Exploration(w, judged(verify.Cosine, 0.995, 0.94), false) })
	golden(t, "exploration_language", func(w io.Writer) error { return Exploration(w, judged(verify.KL, 0.01, 0.2), false) })
	golden(t, "exploration_boxes", func(w io.Writer) error { return Exploration(w, judged(verify.Boxes, 0.985, 0.94), false) })
	golden(t, "exploration_int8", func(w io.Writer) error {
		e := exploration()
		e.Points[1].Int8 = asInt8()
		return Exploration(w, e, false)
	})
	golden(t, "exploration_few", func(w io.Writer) error {
		e := unclassed()
		e.Points[0].Agreement, e.Samples = ref(1.), 1
		return Exploration(w, e, false)
	})
	golden(t, "exploration_none", func(w io.Writer) error {
		e := exploration()
		e.Points, e.Over = e.Points[2:], compress.Params
		return Exploration(w, e, false)
	})
}

// TestExplorationPicture: what was measured is drawn, the same every time.
func TestExplorationPicture(t *testing.T) {
	for name, c := range map[string]struct {
		e     *compress.Exploration
		words []string
		lacks string
	}{
		"classes":     {exploration(), []string{"same top class", "top-1 accuracy", "the smallest with 99 %", "left of the multiply-adds", "macs=0.5"}, "signal to noise in dB"},
		"others":      {unclassed(), []string{"signal to noise in dB"}, "the smallest with"},
		"embeddings":  {judged(verify.Cosine, 0.995, 0.94), []string{"mean cosine", "the smallest with 0.99", "cosine 0.9950"}, "in dB"},
		"language":    {judged(verify.KL, 0.01, 0.2), []string{"KL divergence of the next token", "KL 0.2000"}, "in dB"},
		"predictions": {unmeasured(), []string{"predicted loss", "least possible"}, "signal to noise"},
	} {
		svg, err := ExplorationPicture(c.e, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, w := range append(c.words, "<svg") {
			if !bytes.Contains(svg, []byte(w)) {
				t.Errorf("%s: the picture lacks %q", name, w)
			}
		}
		if bytes.Contains(svg, []byte(c.lacks)) || bytes.Contains(svg, []byte("macs=0.01")) {
			t.Errorf("%s: the picture has %q or the point out of reach", name, c.lacks)
		}
		if bytes.Contains(svg, []byte("<a ")) || !bytes.Contains(svg, []byte(`role="img"`)) {
			t.Errorf("%s: the picture alone leads somewhere", name)
		}
		linked, err := ExplorationPicture(c.e, func(i int) string { return fmt.Sprintf("#p%d", i) })
		if err != nil || !bytes.Contains(linked, []byte(`<a href="#p1"`)) || !bytes.Contains(linked, []byte(`<a href="#p2" aria-label="macs=0.125: `)) || !bytes.Contains(linked, []byte(`role="group"`)) {
			t.Errorf("%s: points lead elsewhere, %v\n%s", name, err, linked)
		}
		if again, err := ExplorationPicture(c.e, nil); err != nil || !bytes.Equal(svg, again) {
			t.Errorf("%s: another picture from the same exploration, %v", name, err)
		}
	}
	e := exploration()
	e.Points = e.Points[3:]
	if _, err := ExplorationPicture(e, nil); err == nil || !strings.Contains(err.Error(), "nothing to draw") {
		t.Errorf("a picture of nothing: %v", err)
	}
}
