package compress

import (
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/verify"
)

// ExplorationSchema names the shape of an Exploration as JSON.
const ExplorationSchema = "onnx-compress/explore/1"

// Exploration is what a model could become within a range of budgets: the frontier of
// cost and damage.
type Exploration struct {
	Schema string `json:"schema"`
	Input  File   `json:"input"`
	// Over is the resource whose budget is swept.
	Over Resource `json:"over"`
	// For is nil without a purpose.
	For         *Profile          `json:"for,omitempty"`
	Environment EnvironmentResult `json:"environment"`
	Calibration *Calibration      `json:"calibration"`
	// Measure says what the predicted losses are.
	Measure Measure `json:"measure"`
	// Data describes the samples that judged every point, and Samples counts them; calibration
	// did not see them. Where there are none, Unmeasured says why, and the points have
	// predicted numbers only.
	Data       string `json:"data,omitempty"`
	Samples    int    `json:"samples"`
	Unmeasured string `json:"unmeasured,omitempty"`
	// Unquantized says, of an exploration for int8, why the points were not quantized.
	Unquantized string `json:"unquantized,omitempty"`
	// Points are in descending order of their budgets.
	Points []Point `json:"points"`
	// Command is as in a Result.
	Command string `json:"command,omitempty"`
	// Stages are the steps that all points share.
	Stages []Stage `json:"stages"`
	Memory Memory  `json:"memory"`
}

// Point is the model of one budget.
type Point struct {
	// Budget is the share of the resource that the model might have.
	Budget float64 `json:"budget"`
	// Why says why there is no such model; all numbers but Seconds are then 0.
	Why string `json:"why,omitempty"`
	// Path is the model's file, empty where models are not kept.
	Path   string `json:"path,omitempty"`
	MACs   int64  `json:"macs"`
	Params int64  `json:"params"`
	Bytes  int64  `json:"bytes"`
	// Loss, Bound and Gap are as in PlanSummary.
	Loss  float64 `json:"loss"`
	Bound float64 `json:"bound"`
	Gap   float64 `json:"gap"`
	// Outputs has one entry per output of the model; nil where nothing was measured.
	Outputs []PointOutput `json:"outputs,omitempty"`
	// Agreement is the share of samples with the original's top class, nil where no output
	// looks like class scores; Accuracy is nil without labels.
	Agreement *float64       `json:"agreement,omitempty"`
	Accuracy  *PointAccuracy `json:"accuracy,omitempty"`
	// Judged is what the outputs are judged by, as in a verify.Report; nil where nothing real judged them.
	Judged *verify.Judged `json:"judged,omitempty"`
	// Refit is nil where there was none.
	Refit *RefitSummary `json:"refit,omitempty"`
	// Latency is nil unless budgets are of time.
	Latency *Latency `json:"latency,omitempty"`
	// Int8 is how the model fares as int8, as in a Result; nil unless that is what it is for.
	Int8 *Int8 `json:"int8,omitempty"`
	// Schemes counts the sites by what became of them, the most used first.
	Schemes []SchemeCount `json:"schemes"`
	// Sites, without their spectra, and Axes are as in a Result.
	Sites []SiteResult `json:"sites,omitempty"`
	Axes  []AxisResult `json:"axes,omitempty"`
	// Command makes this model alone, in words that a shell takes; empty where no command asked for the exploration.
	Command string `json:"command,omitempty"`
	// Seconds is how long the point took.
	Seconds float64 `json:"seconds"`
}

// PointOutput is how far one output lies from the original's.
type PointOutput struct {
	Name string `json:"name"`
	// SNR is nil for equal outputs, the least number where zeros become others, and with Cosine as in verify.Output.
	SNR    *float64 `json:"snr_db"`
	Cosine float64  `json:"cosine"`
}

// PointAccuracy is top-1 accuracy.
type PointAccuracy struct {
	Labelled int     `json:"labelled"`
	Before   float64 `json:"before"`
	After    float64 `json:"after"`
}

// SchemeCount is how many sites are as one method has them, narrower as by Width, or Dense.
type SchemeCount struct {
	Method string `json:"method"`
	Sites  int    `json:"sites"`
}

// ModelName names the model that explore keeps of a budget, in the form of
// net.macs-0.50.onnx for the source net.onnx.
func ModelName(source string, over Resource, budget float64) string {
	share := strconv.FormatFloat(budget, 'f', 2, 64)
	if v, err := strconv.ParseFloat(share, 64); err != nil || v != budget {
		share = strconv.FormatFloat(budget, 'f', -1, 64)
	}
	name := filepath.Base(source)
	return strings.TrimSuffix(name, filepath.Ext(name)) + "." + string(over) + "-" + share + ".onnx"
}

// Value returns what a point has of a measure. It is false where that was not measured.
func (p *Point) Value(m verify.Measure) (float64, bool) {
	switch {
	case m == verify.Agreement && p.Agreement != nil:
		return *p.Agreement, true
	case m == verify.Drop && p.Accuracy != nil:
		return p.Accuracy.Before - p.Accuracy.After, true
	case m == verify.SNR && len(p.Outputs) > 0:
		least := math.Inf(1)
		for _, o := range p.Outputs {
			least = min(least, verify.Value(o.SNR))
		}
		return least, true
	case m != verify.SNR && p.Judged != nil && p.Judged.Measure == m:
		if p.Judged.Value != nil {
			return *p.Judged.Value, true
		}
		if m.Least() { // of equal outputs
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// Smallest returns the point of the smallest budget that meets a goal on the samples
// which judged it, and nil where none does, or where there are too few samples to tell: one
// of them must be no more than what the goal allows.
func (e *Exploration) Smallest(g verify.Bound) *Point {
	if !e.Tells(g) {
		return nil
	}
	for i := range slices.Backward(e.Points) {
		p := &e.Points[i]
		if v, measured := p.Value(g.Measure); measured && g.Allows(v) {
			return p
		}
	}
	return nil
}

// Tells says whether there are enough samples to tell whether a point meets a goal.
func (e *Exploration) Tells(g verify.Bound) bool { return e.Samples >= needed(g) }

// measured adds what a comparison found.
func (p *Point) measured(r *verify.Report) {
	for _, o := range r.Outputs {
		if o.Values > 0 && !o.Ignored {
			p.Outputs = append(p.Outputs, PointOutput{o.Name, verify.Number(o.Ratio()), o.Cosine})
		}
	}
	j := r.Judge()
	p.Judged = &j
	if c := r.Classes; c != nil {
		p.Agreement = &c.Agreement
		if a := c.Accuracy; a != nil {
			p.Accuracy = &PointAccuracy{a.Labelled, a.Before, a.After}
		}
	}
}

// schemes counts what becomes of the sites.
func (c *Choice) schemes() []SchemeCount {
	out := []SchemeCount{}
	narrowed := c.narrowings()
	for k, p := range c.picks {
		name := Dense
		if s := &c.Offers.sites[k].site; p.method != nil {
			name = p.method.Name
		} else if len(narrowed) > 0 && rewrite.NarrowedShape(s, narrowed).Params() < s.Kernel.Params() {
			name = Width
		}
		i := slices.IndexFunc(out, func(c SchemeCount) bool { return c.Method == name })
		if i < 0 {
			i, out = len(out), append(out, SchemeCount{Method: name})
		}
		out[i].Sites++
	}
	slices.SortStableFunc(out, func(a, b SchemeCount) int { return b.Sites - a.Sites })
	return out
}

// What budgets are looked at unless some are given.
const (
	spreadPoints = 8
	spreadFrom   = 0.9
)

// evenly returns budgets from spreadFrom down to the least share that can be reached, in
// steps that people write: about evenly, in multiples of 5 %, or of 1 % where the steps are
// smaller. There are none where nothing below 1 can be reached.
func evenly(least float64) []float64 {
	low := math.Ceil(least*100-1e-9) / 100
	if low >= 1 {
		return nil
	}
	top := max(spreadFrom, low)
	grid := 100.
	if (top-low)/(spreadPoints-1) >= 0.05 {
		grid = 20
	}
	var out []float64
	for i := range spreadPoints - 1 {
		out = append(out, max(low, math.Round((top-(top-low)*float64(i)/(spreadPoints-1))*grid)/grid))
	}
	return slices.Compact(append(out, low))
}
