package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/internal/suggest"
)

// configDoc is a configuration: for each command the values of its flags.
type configDoc struct{ sections []configSection }

type configSection struct {
	command string
	line    int
	values  []configValue
}

// configValue is one flag's values, as they would stand on a command line.
type configValue struct {
	flag  string
	line  int
	words []string
}

// parseConfig reads a configuration and checks it as a whole, for all commands.
func parseConfig(data []byte) (*configDoc, error) {
	tokens := lexer.Tokenize(string(data))
	if err := checkTokens(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, fmt.Errorf("no YAML: %w", err)
	}
	doc := &configDoc{}
	if len(file.Docs) > 1 {
		return nil, errors.New("there are several documents in it; want one")
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.NullType || file.Docs[0].Body.Type() == ast.CommentType {
		return doc, nil
	}
	entries, err := mapping(file.Docs[0].Body, "the file", "commands")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		section, err := parseSection(e)
		if err != nil {
			return nil, err
		}
		doc.sections = append(doc.sections, section)
	}
	var plain any
	if err := yaml.Unmarshal(data, &plain); err != nil {
		return nil, fmt.Errorf("no YAML: %w", err)
	}
	if err := checkConfigValues(plain); err != nil {
		return doc, err
	}
	for _, c := range configurable() {
		for i := range doc.sections {
			if s := &doc.sections[i]; s.command == c.Name() {
				if err := s.checkValues(c.Flags()); err != nil {
					return doc, err
				}
			}
		}
	}
	return doc, nil
}

// mapping returns the entries of a mapping.
func mapping(n ast.Node, what, of string) ([]*ast.MappingValueNode, error) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, nil
	}
	return nil, fmt.Errorf("line %d: %s holds %s; want %s with their values, for example compress: {target: macs=0.5}", line(n), what, kindOf(n), of)
}

// kindOf names what a node is, with its article.
func kindOf(n ast.Node) string {
	return withArticle(strings.ToLower(n.Type().String()))
}

func line(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// parseSection reads the flags of one command.
func parseSection(e *ast.MappingValueNode) (configSection, error) {
	s := configSection{command: keyOf(e), line: line(e.Key)}
	commands := configurable()
	names := each(commands, (*cobra.Command).Name)
	i := slices.Index(names, s.command)
	if i < 0 {
		return s, fmt.Errorf("line %d: unknown command %q%s; known: %s", s.line, s.command, suggest.Phrase(s.command, names), strings.Join(names, ", "))
	}
	if e.Value.Type() == ast.NullType {
		return s, nil
	}
	flags := flagNames(settable(commands[i].Flags()))
	entries, err := mapping(e.Value, s.command, "flags")
	if err != nil {
		return s, err
	}
	for _, e := range entries {
		v := configValue{flag: keyOf(e), line: line(e.Key)}
		if !slices.Contains(flags, v.flag) {
			return s, fmt.Errorf("line %d: %s has no flag %q%s", v.line, s.command, v.flag, suggest.Phrase(v.flag, flags))
		}
		if v.words, err = plainWords(e.Value); err != nil {
			return s, fmt.Errorf("line %d: %s: %s: %w", v.line, s.command, v.flag, err)
		}
		s.values = append(s.values, v)
	}
	return s, nil
}

func keyOf(e *ast.MappingValueNode) string {
	return strings.Trim(e.Key.GetToken().Value, `"'`)
}

// plainWords writes a value, or each of a list, as on a command line.
func plainWords(n ast.Node) ([]string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return []string{n.Value}, nil
	case *ast.LiteralNode:
		return []string{n.Value.Value}, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return []string{n.GetToken().Value}, nil
	case *ast.SequenceNode:
		out := []string{}
		for _, v := range n.Values {
			if v.Type() == ast.SequenceType {
				return nil, errors.New("a list in a list; want plain values")
			}
			w, err := plainWords(v)
			if err != nil {
				return nil, err
			}
			out = append(out, w...)
		}
		return out, nil
	}
	return nil, fmt.Errorf("%s; want a plain value, or a list of them", kindOf(n))
}

// shared says whether a command takes its options from the section of compress, too.
func shared(name string) bool {
	return slices.Contains([]string{"explore", "status", "check", "convert", "calibrate", "factor", "choose", "write", "make", "slurm", "kubernetes", "ray"}, name)
}

// apply sets the flags that have no value yet, those of the command's own section first. A file that was merely found may not set
// all of them.
func (d *configDoc) apply(f *pflag.FlagSet, path string, found bool) error {
	said := asked(f)
	may := func(flag string, words []string) error {
		if !found {
			return nil
		}
		return admits(f.Name(), flag, words, said)
	}
	for _, name := range []string{f.Name(), "compress"} {
		if name == "compress" && f.Name() != name && !shared(f.Name()) {
			continue
		}
		for _, s := range d.sections {
			if s.command != name {
				continue
			}
			if err := s.apply(f, name != f.Name(), may); err != nil {
				return usagef("%s: %w", path, err)
			}
		}
	}
	return nil
}

// apply sets flags; from another command's section those that say how to compress.
func (s *configSection) apply(f *pflag.FlagSet, borrowed bool, may func(flag string, words []string) error) error {
	for _, v := range s.values {
		flag := f.Lookup(v.flag)
		if flag == nil || flag.Changed || borrowed && slices.Contains(ownOutput(), v.flag) {
			continue
		}
		if err := may(v.flag, v.words); err != nil {
			return fmt.Errorf("line %d: %s: %w", v.line, s.command, err)
		}
		for _, word := range v.words {
			if _, list := flag.Value.(pflag.SliceValue); word == "false" && !list && flag.NoOptDefVal != "" && flag.Value.Type() != "bool" {
				continue // such as json: false
			}
			if word == "true" && flag.NoOptDefVal != "" {
				word = flag.NoOptDefVal
			}
			if err := f.Set(v.flag, word); err != nil {
				return fmt.Errorf("line %d: %s: %w", v.line, s.command, err)
			}
		}
	}
	return nil
}
