package compress

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/verify"
)

// GoalMeasures lists what a goal may bound: what compression does to the model's outputs, which only running it can tell.
func GoalMeasures() []verify.Measure {
	return []verify.Measure{verify.Agreement, verify.Drop, verify.KL, verify.PPL, verify.Boxes, verify.CER, verify.IoU, verify.Cosine, verify.SNR}
}

// parseGoal reads a goal: a share for agree, drop and ppl (0.99, 99%, +5%), nats for kl (0.05), a cosine (0.99), a share of boxes for boxes (97%), of letters for cer (1%) and of what masks cover for iou (97%), decibels for snr (30, 30dB).
func parseGoal(word string) (verify.Bound, error) {
	g, err := verify.ParseBound(word)
	kind, _, _ := strings.Cut(word, "=")
	want := map[string]string{
		"agree": "a share, for example agree=99%", "drop": "a share, for example drop=0.5%", "snr": "decibels above 0, for example snr=30dB", "cosine": "a cosine between 0 and 1, for example cosine=0.99",
		"boxes": "a share, for example boxes=97%", "cer": "a share of letters, for example cer=1%", "iou": "a share, for example iou=97%", "kl": "nats above 0, for example kl=0.05", "ppl": "by how much perplexity may grow, for example ppl=+5%",
	}[kind]
	switch {
	case err != nil || g.Value <= 0 || g.Measure == verify.SNR && g.Value > 300:
		return g, fmt.Errorf("target %s: want %s", word, want)
	case g.Measure == verify.Cosine && g.Value >= 1:
		return g, fmt.Errorf("target %s: only equal outputs reach that; ask for less, for example cosine=0.999", word)
	case (g.Measure == verify.Agreement || g.Measure == verify.Boxes || g.Measure == verify.IoU) && g.Value == 1:
		return g, fmt.Errorf("target %s: no number of samples can show that; ask for less, for example %s=99.5%%", word, g.Measure)
	case (g.Measure == verify.Drop || g.Measure == verify.CER) && g.Value == 1:
		return g, fmt.Errorf("target %s: that bounds nothing", word)
	}
	return g, nil
}

// AddTarget reads a target as --target spells it, KIND=VALUE, and adds it: to Targets
// where it bounds a resource, to Goals where it bounds what becomes of the outputs.
func (o *Options) AddTarget(word string) error {
	kind, _, ok := strings.Cut(word, "=")
	if ok && slices.Contains(GoalMeasures(), verify.Measure(kind)) {
		g, err := parseGoal(word)
		if err == nil {
			o.Goals = append(o.Goals, g)
		}
		return err
	}
	t, err := ParseTarget(word)
	if err == nil {
		o.Targets = append(o.Targets, t)
	}
	return err
}

// kinds are the words that a target may begin with.
func kinds() []string {
	var out []string
	for _, r := range append(Resources(), RunTime) {
		out = append(out, string(r))
	}
	for _, m := range GoalMeasures() {
		out = append(out, string(m))
	}
	return out
}

// unknownKind refuses a target that bounds nothing known.
func unknownKind(target, kind string) error {
	return fmt.Errorf("target %q: unknown kind %q%s; known kinds: %s", target, kind, suggest.Phrase(kind, kinds()), strings.Join(kinds(), ", "))
}

// needed is how many samples it takes at least to tell that a goal is met: as many
// that one of them is no more than what the goal allows.
func needed(g verify.Bound) int {
	switch g.Measure {
	case verify.Agreement:
		return int(math.Ceil(1/(1-g.Value) - 1e-9))
	case verify.Drop:
		return int(math.Ceil(1/g.Value - 1e-9))
	}
	return 1
}

// reached takes a goal's value from a comparison, as verify.Number writes it.
func reached(g verify.Bound, r *verify.Report) (*float64, error) {
	f, err := g.Measure.Of(r)
	switch {
	case err == nil:
		return verify.Number(f.Value), nil
	case errors.As(err, new(*verify.GuessingError)):
		return nil, fmt.Errorf("target %s: %w", g, err)
	case g.Measure == verify.PPL && f.Output != "":
		return nil, fmt.Errorf("target %s: the samples have no labels: perplexity wants the texts' own tokens, %s next", g, OptionLabels)
	case f.Output != "":
		return nil, fmt.Errorf("target %s: output %q: %w", g, f.Output, err)
	case r.Classes == nil && (g.Measure == verify.Agreement || g.Measure == verify.Drop):
		return nil, fmt.Errorf("target %s: no output of the model looks like class scores; say which one has them (%s), or bound the signal-to-noise ratio instead, for example snr=30dB", g, OptionClasses)
	case g.Measure == verify.Drop:
		return nil, fmt.Errorf("target %s: the samples have no labels (%s)", g, OptionLabels)
	case r.Language == nil && (g.Measure == verify.KL || g.Measure == verify.PPL):
		return nil, fmt.Errorf("target %s: no output of the model looks like scores of the next token; say which one has them (%s), or bound the signal-to-noise ratio instead, for example snr=30dB", g, OptionKinds)
	case g.Measure == verify.Boxes || g.Measure == verify.CER || g.Measure == verify.IoU:
		what := map[verify.Measure]string{verify.Boxes: "boxes", verify.CER: "letters", verify.IoU: "a mask"}[g.Measure]
		return nil, fmt.Errorf("target %s: %w; say which output has %s (%s), or bound the signal-to-noise ratio instead, for example snr=30dB", g, err, what, OptionKinds)
	}
	return nil, fmt.Errorf("target %s: %w", g, err)
}

// enoughLabels refuses to judge by fewer labels than a goal needs.
func enoughLabels(g verify.Bound, r *verify.Report) error {
	if g.Measure != verify.Drop || r.Classes == nil || r.Classes.Accuracy == nil {
		return nil
	}
	if n := r.Classes.Accuracy.Labelled; n < needed(g) {
		return &UsageError{Err: fmt.Errorf("target %s needs at least %d labelled samples that calibration does not use; of those that judge, %d have labels", g, needed(g), n)}
	}
	return nil
}

// allowing is a goal of few digits that a value meets with a little to spare.
func allowing(m verify.Measure, value float64) verify.Bound {
	switch m {
	case verify.SNR:
		return verify.Bound{Measure: m, Value: math.Floor(value)}
	case verify.Cosine, verify.Agreement, verify.Boxes, verify.IoU:
		return verify.Bound{Measure: m, Value: math.Floor(100*value) / 100}
	}
	digit := math.Pow(10, math.Floor(math.Log10(max(value, 1e-9))))
	return verify.Bound{Measure: m, Value: math.Round(math.Ceil(value/digit)*digit*1e12) / 1e12}
}
