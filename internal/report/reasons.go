package report

import (
	"regexp"
	"slices"

	"github.com/onnx-compress/onnx-compress/compress"
)

// named are the names of nodes and values in a reason.
var named = regexp.MustCompile(`"[^"]*"`)

// ByReason puts nodes together whose reasons are the same but for the names in them, which are "…" where they differ.
func ByReason(nodes []compress.Skipped) []Group[compress.Skipped] {
	groups := Grouped(nodes, func(s compress.Skipped) string { return named.ReplaceAllLiteralString(s.Reason, "…") })
	for i := range groups {
		if g := &groups[i]; !differ(*g) {
			g.Name = g.Members[0].Reason
		}
	}
	return groups
}

// differ tells whether the members of a group have several reasons.
func differ(g Group[compress.Skipped]) bool {
	return slices.ContainsFunc(g.Members, func(s compress.Skipped) bool { return s.Reason != g.Members[0].Reason })
}

// nodes lists nodes under a heading, those with one reason together, and of each
// reason the first few, or all, with the names that differ.
func (p *printer) nodes(heading string, nodes []compress.Skipped, all bool) {
	if len(nodes) == 0 {
		return
	}
	p.line("%s", heading)
	for _, g := range ByReason(nodes) {
		p.line("  %s", g.Name)
		shown, each := len(g.Members), all && differ(g)
		if !all {
			shown = min(4, shown)
		}
		for _, n := range g.Members[:shown] {
			if each {
				p.line("    %s %s: %s", n.Op, n.Name, n.Reason)
			} else {
				p.line("    %s %s", n.Op, n.Name)
			}
		}
		if more := len(g.Members) - shown; more > 0 {
			p.line("    and %d more", more)
		}
	}
}
