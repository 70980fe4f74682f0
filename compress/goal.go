package compress

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Damage is what a Goal bounds: something that only running the model can tell.
type Damage string

const (
	// Agreement is the share of samples whose top class is the original's.
	Agreement Damage = "agree"
	// Drop is the share of labelled samples by which top-1 accuracy falls.
	Drop Damage = "drop"
	// SNR is 10·log10(Σy²/Σ(y'−y)²) in dB, of the output where it is least.
	SNR Damage = "snr"
)

// Damages lists every damage that a goal may bound.
func Damages() []Damage { return []Damage{Agreement, Drop, SNR} }

// Goal is a bound on what compression does to the model's outputs.
type Goal struct {
	Damage Damage `json:"damage"`
	// Value is the least agreement or the largest drop, as a share in (0, 1), or the
	// least signal-to-noise ratio in dB.
	Value float64 `json:"value"`
}

// String writes the goal as a target is written.
func (g Goal) String() string { return string(g.Damage) + "=" + g.Damage.text(g.Value) }

// text writes a value of a damage: 99.2%, 30dB.
func (d Damage) text(v float64) string {
	if d == SNR {
		return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) + "dB"
	}
	return strconv.FormatFloat(math.Round(v*1e6)/1e4, 'f', -1, 64) + "%"
}

// parseGoal reads the value of a goal: a share for agree and drop (0.99, 99%), decibels
// for snr (30, 30dB).
func parseGoal(damage Damage, value string) (Goal, error) {
	g := Goal{Damage: damage}
	number, percent := strings.CutSuffix(value, "%")
	if damage == SNR {
		number, percent = strings.TrimSuffix(strings.TrimSuffix(value, "dB"), "db"), false
	}
	v, err := strconv.ParseFloat(number, 64)
	if percent {
		v /= 100
	}
	switch {
	case damage == SNR && (err != nil || !(v > 0) || v > 300):
		return g, fmt.Errorf("target %s=%s: want decibels above 0, for example snr=30dB", damage, value)
	case damage == SNR:
	case err != nil || !(v > 0) || v > 1:
		return g, fmt.Errorf("target %s=%s: want a share, for example %s", damage, value, map[Damage]string{Agreement: "agree=99%", Drop: "drop=0.5%"}[damage])
	case damage == Agreement && v == 1:
		return g, fmt.Errorf("target %s=%s: no number of samples can show that; ask for less, for example agree=99.5%%", damage, value)
	case damage == Drop && v == 1:
		return g, fmt.Errorf("target %s=%s: that bounds nothing", damage, value)
	}
	g.Value = v
	return g, nil
}

// AddTarget reads a target as --target spells it, KIND=VALUE, and adds it: to Targets
// where it bounds a resource, to Goals where it bounds a damage.
func (o *Options) AddTarget(word string) error {
	kind, value, ok := strings.Cut(word, "=")
	if ok && slices.Contains(Damages(), Damage(kind)) {
		g, err := parseGoal(Damage(kind), value)
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
	for _, r := range Resources() {
		out = append(out, string(r))
	}
	for _, d := range Damages() {
		out = append(out, string(d))
	}
	return out
}

// unknownKind refuses a target that bounds nothing known.
func unknownKind(target, kind string) error {
	return fmt.Errorf("target %q: unknown kind %q%s; known kinds: %s", target, kind, suggest.Phrase(kind, kinds()), strings.Join(kinds(), ", "))
}

// samples is how many samples it takes at least to tell that the goal is met: as many
// that one of them is no more than what the goal allows.
func (g Goal) samples() int {
	switch g.Damage {
	case Agreement:
		return int(math.Ceil(1/(1-g.Value) - 1e-9))
	case Drop:
		return int(math.Ceil(1/g.Value - 1e-9))
	}
	return 1
}

// met tells whether a value is within the goal; nil is that of equal outputs.
func (g Goal) met(v *float64) bool {
	switch {
	case v == nil:
		return true
	case g.Damage == Drop:
		return *v <= g.Value+1e-12
	}
	return *v >= g.Value-1e-12
}

// measured takes the goal's value from a comparison: nil for equal outputs where that
// is a ratio without end.
func (g Goal) measured(r *verify.Report) (*float64, error) {
	switch {
	case g.Damage == SNR:
		return leastSNR(r)
	case r.Classes == nil:
		return nil, fmt.Errorf("target %s: no output of the model looks like class scores; bound the signal-to-noise ratio instead, for example snr=30dB", g)
	case g.Damage == Agreement:
		return &r.Classes.Agreement, nil
	case r.Classes.Accuracy == nil:
		return nil, fmt.Errorf("target %s: the samples have no labels (%s)", g, OptionLabels)
	}
	v := r.Classes.Accuracy.Before - r.Classes.Accuracy.After
	return &v, nil
}

func leastSNR(r *verify.Report) (*float64, error) {
	var least *float64
	compared := false
	for _, o := range r.Outputs {
		compared = compared || o.Values > 0
		if o.SNR != nil && (least == nil || *o.SNR < *least) {
			least = o.SNR
		}
	}
	if !compared {
		return nil, fmt.Errorf("target snr: no output of the model can be compared sample by sample")
	}
	return least, nil
}
