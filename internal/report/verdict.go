package report

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
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
	if a.MACs == b.MACs && a.Params == b.Params {
		return "Nothing became smaller: the model computes what it did, with the same weights."
	}
	said := fmt.Sprintf("The file has %s of the original's size (%s of %s)", Ratio(b.Bytes, a.Bytes), Bytes(b.Bytes), Bytes(a.Bytes))
	if a.MACs > 0 {
		said += fmt.Sprintf(", the model %s of its multiply-adds (%s of %s)", Ratio(b.MACs, a.MACs), Count(b.MACs), Count(a.MACs))
	}
	switch l := r.Latency; {
	case l == nil || l.Skipped != "":
		said += "; how fast it runs was not measured."
	case l.Low <= 1 && l.High >= 1:
		said += fmt.Sprintf("; on this machine it runs about as fast as before (%s, %s before).", Millis(l.After), Millis(l.Before))
	case l.Speed > 1:
		said += fmt.Sprintf("; on this machine it runs %.2f times as fast (%s, %s before).", l.Speed, Millis(l.After), Millis(l.Before))
	default:
		said += fmt.Sprintf("; on this machine it is slower, at %.2f times the original's speed (%s, %s before).", l.Speed, Millis(l.After), Millis(l.Before))
	}
	return said
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
	if t := r.Trials; t != nil && t.Shared {
		said += " These samples chose the size too, so that on others it may keep less."
	}
	return said
}

// kept is how much of the original a model has to keep for the next step to be to ask for less.
func kept(j verify.Judged) bool {
	switch v := verify.Value(j.Value); j.Measure {
	case verify.Agreement, verify.Cosine:
		return v >= 0.99
	case verify.SNR:
		return v >= 30
	}
	return true
}

// looser is a goal that allows more than fits the outputs.
func looser(m verify.Measure) string {
	switch m {
	case verify.Agreement:
		return "agree=97%"
	case verify.Cosine:
		return "cosine=0.97"
	}
	return "snr=20dB"
}

// next is what to try.
func next(r *compress.Result, asked compress.Asked) []compress.NextStep {
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
	j := v.Judge()
	if short := tooFew(r, j); short != "" {
		out = append(out, step(short, "verify", asked.Model, quote.Shell(r.Output.Path), "--data", "MORE"+preparation(asked.Samples)))
	}
	switch {
	case !kept(j) && r.Tuning == nil:
		out = append(out, step("win some of that back by tuning, without labels", "tune", asked.Model, quote.Shell(r.Output.Path), "-o", quote.Shell(besides(r.Output.Path, "tuned")), "--data", on))
	case !kept(j):
	case r.Trials != nil:
		out = append(out, step("smaller still, if it may lose more", asked.Model, "-o", quote.Shell(besides(r.Output.Path, "smaller")), "--calib", on, "--target", looser(j.Measure)))
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

// preparation are the flags behind the path of samples.
func preparation(words string) string {
	if at := strings.Index(words, " --"); at >= 0 {
		return words[at:]
	}
	return ""
}

// tooFew says that samples are too few to tell an agreement from one that is noticeably less; empty where they are not.
func tooFew(r *compress.Result, j verify.Judged) string {
	if j.Measure != verify.Agreement || verify.Value(j.Value) < 0.985 {
		return ""
	}
	goal := 0.99
	if t := r.Trials; t != nil {
		for _, g := range t.Goals {
			if g.Measure == verify.Agreement {
				goal = g.Value
			}
		}
	}
	if *j.Low >= 1-3*(1-goal) {
		return ""
	}
	return fmt.Sprintf("%s are too few to tell %s from %s, about %d would do: judge it on more", number(j.Samples, "sample"),
		verify.Agreement.Text(goal), verify.Agreement.Text(1-3*(1-goal)), verify.Telling(goal))
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
