package compress

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/suggest"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// Selection says which sites may change. A pattern is a site's name in which
// * stands for any run of characters, slashes included, and ? for one.
type Selection struct {
	// Only, when not empty, leaves every site alone that matches none of it.
	Only []string
	// Keep leaves every site alone that matches any of it.
	Keep []string
}

// glob compiles a pattern of Selection.
func glob(pattern string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`\A(?s:`)
	for _, r := range pattern {
		switch r {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	b.WriteString(`)\z`)
	return regexp.MustCompile(b.String())
}

// split parts the sites into those that may change and the reasons of the
// others. skips are the nodes that are no sites. A pattern that matches neither
// is an error: it is a mistyped name more often than an intention, unless it is
// the lone * that means all.
func (s Selection) split(sites []rewrite.Site, skips []rewrite.Skip) ([]rewrite.Site, []rewrite.Skip, error) {
	names := make([]string, len(sites))
	for i := range sites {
		names[i] = sites[i].Name
	}
	only, err := matches(OptionOnly, s.Only, names, skips)
	if err != nil {
		return nil, nil, err
	}
	keep, err := matches(OptionKeep, s.Keep, names, skips)
	if err != nil {
		return nil, nil, err
	}
	var taken []rewrite.Site
	var left []rewrite.Skip
	for i, site := range sites {
		switch {
		case keep[i] != "":
			left = append(left, skip(site, fmt.Sprintf("kept as it is by %s %q", OptionKeep, keep[i])))
		case len(s.Only) > 0 && only[i] == "":
			left = append(left, skip(site, "not named by "+string(OptionOnly)))
		default:
			taken = append(taken, site)
		}
	}
	return taken, left, nil
}

// matches returns for each name of a site the first pattern that it matches. A
// node that is no site may be kept, but nothing can be changed about it.
func matches(option Option, patterns, names []string, skips []rewrite.Skip) ([]string, error) {
	hit := make([]string, len(names))
	for _, p := range patterns {
		re, found := glob(p), p == "*"
		for i, n := range names {
			if re.MatchString(n) {
				found = true
				if hit[i] == "" {
					hit[i] = p
				}
			}
		}
		if found {
			continue
		}
		i := slices.IndexFunc(skips, func(s rewrite.Skip) bool { return re.MatchString(s.Name) })
		switch {
		case i < 0:
			return nil, &UsageError{Err: fmt.Errorf("%s %q matches no site%s; `onnx-compress inspect` lists their names", option, p, suggest.Phrase(p, names))}
		case option == OptionOnly:
			return nil, &UsageError{Err: fmt.Errorf("%s %q matches no site, but %s %s, which cannot change: %s", option, p, skips[i].Op, skips[i].Name, skips[i].Reason)}
		}
	}
	return hit, nil
}

// skip turns a site into a node left alone.
func skip(s rewrite.Site, reason string) rewrite.Skip {
	return rewrite.Skip{Node: s.Node, Index: s.Index, Name: s.Name, Op: s.Op, Reason: reason, Params: s.Kernel.Params()}
}
