package compress

import (
	"fmt"
	"regexp"
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
// others. A pattern that matches no site is an error: it is a mistyped name
// more often than an intention, unless it is the lone * that means all.
func (s Selection) split(sites []rewrite.Site) ([]rewrite.Site, []rewrite.Skip, error) {
	names := make([]string, len(sites))
	for i := range sites {
		names[i] = sites[i].Name
	}
	only, err := matches("--only", s.Only, names)
	if err != nil {
		return nil, nil, err
	}
	keep, err := matches("--keep", s.Keep, names)
	if err != nil {
		return nil, nil, err
	}
	var taken []rewrite.Site
	var skips []rewrite.Skip
	for i, site := range sites {
		switch {
		case keep[i] != "":
			skips = append(skips, skip(site, fmt.Sprintf("kept as it is by --keep %q", keep[i])))
		case len(s.Only) > 0 && only[i] == "":
			skips = append(skips, skip(site, "not named by --only"))
		default:
			taken = append(taken, site)
		}
	}
	return taken, skips, nil
}

// matches returns for each name the first pattern that it matches.
func matches(flag string, patterns, names []string) ([]string, error) {
	hit := make([]string, len(names))
	for _, p := range patterns {
		re, any := glob(p), false
		for i, n := range names {
			if re.MatchString(n) {
				any = true
				if hit[i] == "" {
					hit[i] = p
				}
			}
		}
		if !any && p != "*" {
			return nil, &UsageError{fmt.Errorf("%s %q matches no site%s; `onnx-compress inspect` lists their names", flag, p, suggest.Phrase(p, names))}
		}
	}
	return hit, nil
}

// skip turns a site into a node left alone.
func skip(s rewrite.Site, reason string) rewrite.Skip {
	return rewrite.Skip{Node: s.Node, Name: s.Name, Op: s.Op, Reason: reason}
}
