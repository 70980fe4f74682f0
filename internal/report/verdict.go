package report

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Verdict sums a result up. asked has the words of the commands that it names; words in capitals stand in for what is missing there.
func Verdict(r *compress.Result, asked compress.Asked) *compress.Verdict {
	return &compress.Verdict{Gained: gained(r), Cost: cost(r), Next: next(r, asked)}
}

// VerdictOf is the verdict that a result has, or where no command made one, that of its numbers.
func VerdictOf(r *compress.Result) *compress.Verdict {
	if r.Verdict != nil {
		return r.Verdict
	}
	return Verdict(r, compress.Asked{Model: r.Input.Path})
}

// gained says what became smaller, and how much faster that is.
func gained(r *compress.Result) string {
	a, b := r.Input, r.Output
	said := Elsewhere(b)
	if said != "" {
		said += " "
	}
	if a.MACs == b.MACs && a.Params == b.Params {
		return said + "Nothing became smaller: the model computes what it did, with the same weights."
	}
	said += fmt.Sprintf("The file has %s of the original's size (%s of %s)", Ratio(b.Bytes, a.Bytes), Bytes(b.Bytes), Bytes(a.Bytes))
	if a.MACs > 0 {
		said += fmt.Sprintf(", the model %s of its multiply-adds (%s of %s)", Ratio(b.MACs, a.MACs), Count(b.MACs), Count(a.MACs))
	}
	switch l := r.Latency; {
	case r.Int8 != nil:
		alone, both := r.Int8.Models[1], r.Int8.Models[3]
		said += fmt.Sprintf("; as int8 it runs at %.2f times the speed of the original as int8 (%s and %s).", both.Speed/alone.Speed, Millis(both.Time), Millis(alone.Time))
	case untimed(r):
		said += "; how fast it runs was not measured."
	default:
		said += "; on this machine it " + speedText(l) + "."
	}
	return said
}

// Elsewhere says of a model that is not where it was to go where it is; else it is empty.
func Elsewhere(f compress.File) string {
	if f.Wanted == "" {
		return ""
	}
	return fmt.Sprintf("Another file is at %s, and stays: this model is in %s.", f.Wanted, f.Path)
}

// untimed tells whether nothing says how fast a result runs.
func untimed(r *compress.Result) bool {
	return r.Int8 == nil && (r.Latency == nil || r.Latency.Skipped != "")
}

// speedText says by the median of the turns how fast the compressed model is beside the original; where a quarter of the turns says the
// opposite, by how much they differ.
func speedText(l *compress.Latency) string {
	times := fmt.Sprintf("(%s, %s before)", Millis(l.After), Millis(l.Before))
	switch p := paceOf(l); {
	case p == even:
		return "runs about as fast as before " + times
	case p == slower:
		return fmt.Sprintf("is slower, at %.2f times the original's speed %s", l.Speed, times)
	case p == faster:
		return fmt.Sprintf("runs %.2f times as fast %s", l.Speed, times)
	}
	return fmt.Sprintf("runs %.2f times as fast %s, which is not sure: half of the turns lie between %.2f and %.2f", l.Speed, times, l.Low, l.High)
}

// pace is how fast a compressed model is beside the original.
type pace int

const (
	uncertain pace = iota // a quarter of the turns says the opposite
	even                  // by two digits, as it is written
	faster
	slower
)

// paceOf is that of models that were timed.
func paceOf(l *compress.Latency) pace {
	switch {
	case math.Round(100*l.Speed) == 100:
		return even
	case l.Low <= 1 && l.High >= 1:
		return uncertain
	case l.Speed > 1:
		return faster
	}
	return slower
}

// cost says what that costs, on what evidence.
func cost(r *compress.Result) string {
	v := r.Verification
	if v == nil {
		return "Nothing was verified by running it: " + strings.TrimSuffix(r.Unverified, ".") + "."
	}
	if r.Calibration == nil {
		random := *v
		random.Evidence = verify.Random
		v = &random
	}
	said := v.Judge().Text
	t := r.Trials
	if t == nil {
		return said
	}
	if t.Shared {
		return said + " These samples chose the size too, so that on others it may keep less."
	}
	for _, g := range t.Goals {
		if g.Proved != nil && !g.Allows(*g.Proved) {
			said += fmt.Sprintf(" The target %s held on the %d samples that chose the size, and not quite on these.", g.Bound, t.Judged)
		}
	}
	return said
}

// goal is what the run went by, of the measure that its outputs are judged by; without such a goal, what fits them.
func goal(r *compress.Result, j verify.Judged) verify.Bound {
	if t := r.Trials; t != nil {
		for _, g := range t.Goals {
			if g.Measure == j.Measure {
				return g.Bound
			}
		}
	}
	return verify.Fitting(j.Kind)
}

// looser is a goal that allows about three times as much.
func looser(g verify.Bound) verify.Bound {
	if g.Measure == verify.SNR {
		return verify.Bound{Measure: g.Measure, Value: max(1, g.Value-10)}
	}
	if g.Measure == verify.KL || g.Measure == verify.PPL || g.Measure == verify.CER {
		return verify.Bound{Measure: g.Measure, Value: math.Round(3e4*g.Value) / 1e4}
	}
	return verify.Bound{Measure: g.Measure, Value: max(0.5, math.Round(1e4*(1-3*(1-g.Value)))/1e4)}
}

// next is what to try.
func next(r *compress.Result, asked compress.Asked) []compress.NextStep {
	out := better(r, asked)
	if !untimed(r) || r.Input.MACs == r.Output.MACs && r.Input.Params == r.Output.Params {
		return out
	}
	fed := asked.Sizes // of inputs that random numbers go to
	if asked.Samples != "" && r.Through == nil {
		fed = "--data " + asked.Samples
	}
	return append(out, compress.NextStep{
		Why:     "measure how fast it runs here",
		Command: strings.TrimSpace(strings.Join([]string{"onnx-compress bench", asked.Model, quote.Shell(r.Output.Path), fed}, " ")),
	})
}

// better is what may make the result better, or surer.
func better(r *compress.Result, asked compress.Asked) []compress.NextStep {
	on := "SAMPLES"
	if asked.Samples != "" {
		on = asked.Samples
	}
	join := func(words ...string) string { return "onnx-compress " + strings.Join(append(words, asked.Inputs), " ") }
	step := func(why string, words ...string) compress.NextStep {
		return compress.NextStep{Why: why, Command: strings.TrimSpace(join(words...))}
	}
	v := r.Verification
	switch {
	case r.Calibration == nil:
		return []compress.NextStep{step("give it samples, a few hundred like those that the model will see, without labels: it becomes much better, and is judged", asked.Model, "--calib", on)}
	case v == nil:
		return nil
	}
	var out []compress.NextStep
	if r.Unquantized != "" {
		out = append(out, step("hold both against each other as int8, in a Python that has the packages onnxruntime and onnx", "verify", asked.Model, quote.Shell(r.Output.Path), "--data", on, "--int8"))
	}
	j := v.Judge()
	kept := j.Measure == "" || verify.Fitting(j.Kind).Allows(verify.Value(j.Value))
	short := tooFew(r, j)
	switch t := r.Trials; {
	case short == "":
	case t != nil && t.Fitting && t.Shared: // which chose the size by so few
		out = append(out, step(short+": compress it again with more", asked.Model, "-o", quote.Shell(r.Output.Path), "--force", strings.TrimSpace("--calib MORE "+asked.Prepared)))
	default:
		out = append(out, step(short+": judge it on more", "verify", asked.Model, quote.Shell(r.Output.Path), strings.TrimSpace("--data MORE "+asked.Prepared)))
	}
	switch {
	case !kept && r.Through != nil: // tuning and exploring go by the model's own outputs
	case !kept && r.Tuning == nil:
		out = append(out, step("win some of that back by tuning, without labels", "tune", asked.Model, quote.Shell(r.Output.Path), "-o", quote.Shell(besides(r.Output.Path, "tuned")), "--data", on))
	case !kept || short != "":
	case r.Trials != nil:
		out = append(out, step("smaller still, if it may lose more", asked.Model, "-o", quote.Shell(besides(r.Output.Path, "smaller")), "--calib", on, "--target", looser(goal(r, j)).String()))
	case r.Through != nil:
	default:
		out = append(out, step("see what other sizes would lose", "explore", asked.Model, "--calib", on))
	}
	return out
}

// besides is a name for a file beside one that is there.
func besides(path, word string) string {
	kind := filepath.Ext(path)
	return strings.TrimSuffix(strings.TrimSuffix(path, kind), ".small") + "." + word + kind
}

// tooFew says that samples are too few to tell an agreement from one that is noticeably less; empty where they are not.
func tooFew(r *compress.Result, j verify.Judged) string {
	if j.Measure != verify.Agreement || j.Kind != outputs.Scores || verify.Value(j.Value) < 0.985 {
		return ""
	}
	share := goal(r, j).Value
	if *j.Low >= 1-3*(1-share) {
		return ""
	}
	few := fmt.Sprintf("%d samples are", j.Samples)
	if j.Samples == 1 {
		few = "1 sample is"
	}
	return fmt.Sprintf("%s too few to tell %s from %s, about %d would do", few,
		verify.Agreement.Text(share), verify.Agreement.Text(1-3*(1-share)), verify.Telling(share))
}

// verdict ends the text of a result.
func (p *printer) verdict(v *compress.Verdict) {
	p.line("")
	p.line("%s", v.Gained)
	p.line("%s", v.Cost)
	for _, s := range v.Next {
		p.line("Next: %s:", s.Why)
		p.line("  %s", s.Command)
	}
}
