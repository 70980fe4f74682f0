// Package report shows a compress.Result to people and to scripts.
package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/quote"
)

// Result writes what a run did as text: the totals, what verification found,
// and how it all sums up; when verbose, every site and every node left alone, too.
func Result(w io.Writer, r *compress.Result, verbose bool) error {
	p := &printer{w: w}
	p.line("%s → %s%s%s", r.Input.Path, r.Output.Path, fittingText(r.Trials), slowerText(r.Latency))
	p.grid([]Column{{"", false}, {"before", true}, {"after", true}, {"left", true}}, needRows(r))
	p.times(r)
	if said := ForText(r.For); said != "" {
		p.line("%s", said)
	}
	p.line("")
	planned := ""
	if r.Plan.Given {
		planned = ", as planned"
	}
	p.line("%s of %s factored, %s left alone%s", schemesText(r.Sites), number(len(r.Sites), "site"), number(len(r.Skipped), "other node"), planned)
	if verbose && !r.Plan.Given {
		p.line("%s %.4g (%s)", measureText(r), r.Plan.Loss, boundText(r.Plan))
	}
	p.widths(r.Axes)
	p.merges(r.Merged, verbose)
	p.through(r.Through)
	p.also(r.Also)
	p.goals(r.Trials, verbose)
	if len(r.Uncounted) > 0 {
		p.line("MACs lack %s of unknown size", number(len(r.Uncounted), "node"))
		for _, t := range r.Targets {
			if t.Resource == compress.MACs {
				p.line("%s holds for the %s that can be counted, not for the whole model", t.Target, Count(t.Original))
			}
		}
	}
	if verbose {
		p.details(r)
	}
	p.calibration(r)
	if r.Tuning != nil {
		p.learning(r.Tuning, verbose)
	}
	if r.Verification == nil {
		p.line("NOT VERIFIED by execution: %s", r.Unverified)
	} else {
		p.line("")
		if r.Unjudged != "" {
			p.line("%s", r.Unjudged)
		}
		p.verification(r.Verification)
	}
	p.asInt8(r)
	p.verdict(VerdictOf(r))
	return p.err
}

// fittingText says what a run went by that was not asked for anything; else it is empty.
func fittingText(t *compress.Trials) string {
	if t == nil || !t.Fitting {
		return ""
	}
	var words []string
	for _, g := range t.Goals {
		words = append(words, g.Bound.String())
	}
	return fmt.Sprintf(": as small as %s allows, judged on %s that calibration did not see", strings.Join(words, " and "), number(t.Judged, "sample"))
}

// needRows are what the models need.
func needRows(r *compress.Result) [][]any {
	rows := [][]any{
		{"MACs", Count(r.Input.MACs), Count(r.Output.MACs), Ratio(r.Output.MACs, r.Input.MACs)},
		{"parameters", Count(r.Input.Params), Count(r.Output.Params), Ratio(r.Output.Params, r.Input.Params)},
		{"file", Bytes(r.Input.Bytes), Bytes(r.Output.Bytes), Ratio(r.Output.Bytes, r.Input.Bytes)},
	}
	if l := r.Latency; l != nil && l.Skipped == "" {
		rows = append(rows, []any{"time" + AsInt8(l), Millis(l.Before), Millis(l.After), Percent(l.After / l.Before)})
	}
	return rows
}

// ForText says what the purpose of a model set; nothing without one.
func ForText(p *compress.Profile) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("for %s: %s", p.Purpose, strings.Join(p.Set, "; "))
}

// times says how the models were timed, or why they were not; nothing where that was not asked for.
func (p *printer) times(r *compress.Result) {
	switch l := r.Latency; {
	case l == nil:
	case l.Skipped != "":
		p.line("not timed: %s", l.Skipped)
	default:
		p.line("timed%s in ONNX Runtime %s on %s, on %s: %.2f times as fast, half of %s between %.2f and %.2f",
			AsInt8(l), r.Environment.Runtime, ThreadsText(l), l.Sample, l.Speed, number(l.Turns, "turn"), l.Low, l.High)
	}
	if said := ForetoldText(r.Latency); said != "" {
		p.line("%s", said)
	}
}

// AsInt8 says of models that were timed as int8 that they were, behind a word; else it is empty.
func AsInt8(l *compress.Latency) string {
	if l.Int8 {
		return " as int8"
	}
	return ""
}

// ThreadsText says on how many threads models were timed.
func ThreadsText(l *compress.Latency) string {
	if l.Threads <= 1 {
		return "one thread"
	}
	return number(l.Threads, "thread")
}

// ForetoldText says what a table of costs foretold, and of which machine it is where that is another one; empty where no target is
// about time.
func ForetoldText(l *compress.Latency) string {
	if l == nil || l.Foretold == nil {
		return ""
	}
	f := l.Foretold
	said := fmt.Sprintf("foretold by the table of costs: %s → %s, %s left", Millis(f.Before), Millis(f.After), Percent(f.After/f.Before))
	if f.Elsewhere != "" {
		said += fmt.Sprintf("; it is of another machine (%s), so that the times measured here are not held against the target", f.Elsewhere)
	}
	if n := len(l.Attempts); n > 1 {
		said += fmt.Sprintf("; of %d models timed, this one is the closest that meets the target: allowed", n)
		for i, a := range l.Attempts {
			said += fmt.Sprintf("%s %s and measured %s", map[bool]string{true: ",", false: ""}[i > 0], Percent(a.Bound), Percent(a.Measured))
		}
	}
	return said
}

// slowerText says that a model is slower than the original, where that is beyond doubt, and the way out; else it is empty.
func slowerText(l *compress.Latency) string {
	if l == nil || l.Skipped != "" || paceOf(l) != slower {
		return ""
	}
	return fmt.Sprintf(": SLOWER than the original, at %.2f times its speed; try %s svd,svd-in,spatial,spatial-wh,tucker2, whose factors runtimes compute faster, or leave nodes alone with %s",
		l.Speed, compress.OptionMethods, compress.OptionKeep)
}

// widths says how many axes became narrower, where that was asked for.
func (p *printer) widths(axes []compress.AxisResult) {
	if len(axes) == 0 {
		return
	}
	narrower, units, kept := 0, 0, 0
	for _, x := range axes {
		units, kept = units+x.Units, kept+len(x.Kept)
		if len(x.Kept) < x.Units {
			narrower++
		}
	}
	p.line("%d of %d axes narrower, which keep %d of %s; no node is added", narrower, len(axes), kept, number(units, "unit"))
}

// axisRows are the axes, in the order of the graph.
func axisRows(axes []compress.AxisResult) [][]any {
	rows := make([][]any, 0, len(axes))
	for _, x := range axes {
		rows = append(rows, []any{
			x.Name, x.ReadBy(), x.Units, len(x.Kept), fmt.Sprintf("%.2f %%", 100*x.Loss), Ratio(int64(len(x.Kept)), int64(x.Units)),
		})
	}
	return rows
}

// merges says what neighbours became one node, and what that saved.
func (p *printer) merges(merged []compress.MergedNodes, verbose bool) {
	if len(merged) == 0 {
		return
	}
	var params, macs int64
	for _, m := range merged {
		params, macs = params+m.Params, macs+m.MACs
	}
	p.line("%s of neighbours merged into one node each, which saves another %s MACs and %s parameters", number(len(merged), "pair"), Count(macs), Count(params))
	if !verbose {
		return
	}
	for _, m := range merged {
		p.line("  %s and %s are %s", m.First, m.Second, m.Node)
	}
}

// also says what further models became of the same factors.
func (p *printer) also(list []compress.AlsoResult) {
	for _, a := range list {
		how := "runs on random inputs"
		if a.Verification == nil {
			how = "not run: " + a.Unverified
		}
		p.line("also %s → %s: of %s with the same weights %d changed alike, %s of the parameters left; %s", a.Input.Path, a.Output.Path, number(a.Sites, "node"), a.Changed,
			Ratio(a.Output.Params, a.Input.Params), how)
		if said := Elsewhere(a.Output); said != "" {
			p.line("%s", said)
		}
	}
}

// through says of which model the outputs are that judged the result; nothing where they are its own.
func (p *printer) through(t *compress.ThroughResult) {
	if t == nil {
		return
	}
	var words []string
	for _, f := range t.Fed {
		if f.Input == f.From {
			words = append(words, f.From)
			continue
		}
		words = append(words, fmt.Sprintf("%s as its %s", f.From, f.Input))
	}
	p.line("judged by what %s makes of it, which is given %s", t.Path, strings.Join(words, " and "))
}

// details writes every site, every node left alone, and how long the stages took.
func (p *printer) details(r *compress.Result) {
	if len(r.Sites) > 0 {
		p.grid(Columns([]string{"site", "op", "kernel", "method"}, "rank", "break-even", "loss", "MACs", "left"), siteRows(r.Sites))
	}
	if len(r.Axes) > 0 {
		p.grid(Columns([]string{"axis", "read by"}, "units", "kept", "loss", "left"), axisRows(r.Axes))
	}
	for _, s := range r.Sites {
		p.note(s.Name, s.Note)
	}
	for _, x := range r.Axes {
		p.note(x.Name, x.Note)
	}
	p.nodes("not counted, because their size is unknown:", r.Uncounted, true)
	p.nodes("left alone:", r.Skipped, true)
	p.whole(r.Whole, true)
	p.durations(r.Stages)
	p.memory(r.Memory)
}

// note writes what there is to know of a site, if anything.
func (p *printer) note(site, note string) {
	if note != "" {
		p.line("note: %s: %s", site, note)
	}
}

// durations writes how long each stage took.
func (p *printer) durations(stages []compress.Stage) {
	var words []string
	for _, s := range stages {
		words = append(words, fmt.Sprintf("%s %.2f s", s.Name, s.Seconds))
	}
	p.line("%s", strings.Join(words, ", "))
}

// memory writes what the process took.
func (p *printer) memory(m compress.Memory) {
	if m.Peak > 0 {
		p.line("peak memory %s, in the stage %s; the limit is %s", Bytes(m.Peak), m.Stage, Bytes(m.Limit))
	}
}

// Group is what has one name or reason in common.
type Group[T any] struct {
	Name    string
	Members []T
}

// Grouped puts what has the same name together, in the order in which the names come.
func Grouped[T any](all []T, name func(T) string) []Group[T] {
	var out []Group[T]
	at := map[string]int{}
	for _, v := range all {
		n := name(v)
		if _, seen := at[n]; !seen {
			at[n] = len(out)
			out = append(out, Group[T]{Name: n})
		}
		out[at[n]].Members = append(out[at[n]].Members, v)
	}
	return out
}

// Factored groups the sites that were factored by their schemes.
func Factored(sites []compress.SiteResult) (changed int, schemes []Group[compress.SiteResult]) {
	kept := slices.DeleteFunc(slices.Clone(sites), func(s compress.SiteResult) bool { return s.Method == compress.Dense })
	return len(kept), Grouped(kept, func(s compress.SiteResult) string { return s.Method })
}

// Sizes writes groups with the number of their members.
func Sizes[T any](groups []Group[T]) string {
	words := make([]string, len(groups))
	for i, g := range groups {
		words[i] = fmt.Sprintf("%s %d", g.Name, len(g.Members))
	}
	return strings.Join(words, ", ")
}

// schemesText counts the sites that were factored, and those of each scheme, the most
// used first.
func schemesText(sites []compress.SiteResult) string {
	changed, schemes := Factored(sites)
	if changed == 0 {
		return "0"
	}
	slices.SortStableFunc(schemes, func(a, b Group[compress.SiteResult]) int { return cmp.Compare(len(b.Members), len(a.Members)) })
	return fmt.Sprintf("%d (%s)", changed, Sizes(schemes))
}

// boundText says how good a plan could have been.
func boundText(p compress.PlanSummary) string {
	of := "these ranks"
	if p.BesideWidths {
		of += " beside these widths"
	}
	text := fmt.Sprintf("no plan of %s within the targets has less than %.4g", of, p.Bound)
	if n := len(p.Corrections); n > 0 {
		text += fmt.Sprintf(", with losses corrected by %s", number(n, "measurement"))
	}
	return text
}

// measureText says what the losses of a plan are.
func measureText(r *compress.Result) string {
	switch {
	case r.Plan.Measure == compress.OutputChange:
		return "expected squared change of the outputs"
	case r.Calibration == nil || r.Calibration.DataFree != nil:
		return "lost share of the weights, summed over the sites,"
	}
	return "lost share of the variance, summed over the sites,"
}

func siteRows(sites []compress.SiteResult) [][]any {
	rows := make([][]any, 0, len(sites))
	for _, s := range sites {
		rank := cmp.Or(JoinInts(s.Rank, ","), none)
		rows = append(rows, []any{
			s.Name, s.Op, kernel(s.Out, s.In, s.Groups, s.Window), s.Method, rank, s.BreakEven,
			fmt.Sprintf("%.2f %%", 100*s.Loss), Count(s.MACsAfter), Ratio(s.MACsAfter, s.MACsBefore),
		})
	}
	return rows
}

// kernel writes a weight's shape as out×in, its window, and its groups.
func kernel(out, in, groups int, window []int) string {
	s := fmt.Sprintf("%d×%d", out, in)
	if len(window) > 0 {
		s += " " + JoinInts(window, "×")
	}
	if groups > 1 {
		s += fmt.Sprintf(" /%d", groups)
	}
	return s
}

// JoinInts writes numbers with something between them.
func JoinInts(v []int, by string) string {
	s := make([]string, len(v))
	for i, n := range v {
		s[i] = strconv.Itoa(n)
	}
	return strings.Join(s, by)
}

// printer writes lines until the first error.
type printer struct {
	w   io.Writer
	err error
}

// line writes a line, in which names are as they can be read.
func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", quote.Words(args)...)
	}
}

func (p *printer) grid(columns []Column, rows [][]any) {
	if p.err == nil {
		p.err = grid(p.w, columns, rows)
	}
}
