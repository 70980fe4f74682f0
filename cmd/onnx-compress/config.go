package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/internal/suggest"
)

// configName is the file that is read from the current folder where it is there.
const configName = "onnx-compress.yaml"

// configFlags say which configuration holds; every command that can be configured has them.
type configFlags struct {
	path        string
	none, print bool
}

// unconfigured names the commands that are about the program itself.
func unconfigured() []string { return []string{"help", "version", "completion", "man", "config"} }

func (c *configFlags) add(f *pflag.FlagSet) {
	f.StringVar(&c.path, "config", "", "")
	f.BoolVar(&c.none, "no-config", false, "")
	f.BoolVar(&c.print, "print-config", false, "")
}

// configNames are the flags that no configuration can set.
func configNames() []string { return []string{"config", "no-config", "print-config"} }

// apply gives the flags that the command line leaves out the values of the configuration,
// and prints what holds where that was asked for.
func (c *configFlags) apply(f *pflag.FlagSet, s streams) error {
	if c.none && c.path != "" {
		return usagef("--config and --no-config exclude each other")
	}
	if !c.none {
		path, doc, err := c.read()
		if err != nil {
			return err
		}
		if err := doc.apply(f, path); err != nil {
			return err
		}
	}
	if c.print {
		if err := printConfig(s.out, f); err != nil {
			return err
		}
		return errHelp // there is nothing more to do, and nothing wrong
	}
	return nil
}

// read reads the configuration, if there is one.
func (c *configFlags) read() (string, *configDoc, error) {
	path := c.path
	if path == "" {
		path = configName
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && c.path == "" {
		return path, &configDoc{}, nil
	}
	if err != nil {
		return path, nil, usagef("configuration: %w", err)
	}
	doc, err := parseConfig(data)
	if err != nil {
		return path, nil, usagef("%s: %w", path, err)
	}
	return path, doc, nil
}

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
	file, err := parser.ParseBytes(data, 0)
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
	return doc, checkSchemaOf(plain)
}

// mapping returns the entries of a mapping.
func mapping(n ast.Node, what, of string) ([]*ast.MappingValueNode, error) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, nil
	}
	return nil, fmt.Errorf("line %d: %s holds a %s; want %s with their values, for example compress: {target: macs=0.5}", line(n), what, strings.ToLower(n.Type().String()), of)
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
	var names []string
	for _, c := range configurable() {
		names = append(names, c.name)
	}
	i := slices.Index(names, s.command)
	if i < 0 {
		return s, fmt.Errorf("line %d: unknown command %q%s; known: %s", s.line, s.command, suggest.Phrase(s.command, names), strings.Join(names, ", "))
	}
	f, err := declared(configurable()[i])
	if err != nil || e.Value.Type() == ast.NullType {
		return s, err
	}
	entries, err := mapping(e.Value, s.command, "flags")
	if err != nil {
		return s, err
	}
	for _, e := range entries {
		v := configValue{flag: keyOf(e), line: line(e.Key)}
		if f.Lookup(v.flag) == nil || slices.Contains(configNames(), v.flag) {
			return s, fmt.Errorf("line %d: %s has no flag %q%s", v.line, s.command, v.flag, suggest.Phrase(v.flag, flagNames(f)))
		}
		if v.words, err = words(e.Value); err != nil {
			return s, fmt.Errorf("line %d: %s: %s: %w", v.line, s.command, v.flag, err)
		}
		s.values = append(s.values, v)
	}
	return s, nil
}

func keyOf(e *ast.MappingValueNode) string {
	return strings.Trim(e.Key.GetToken().Value, `"'`)
}

// flagNames are the flags that a configuration can set.
func flagNames(f *pflag.FlagSet) []string {
	var out []string
	f.VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(configNames(), flag.Name) {
			out = append(out, flag.Name)
		}
	})
	return out
}

// words writes a value, or each of a list, as on a command line.
func words(n ast.Node) ([]string, error) {
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
			w, err := words(v)
			if err != nil {
				return nil, err
			}
			out = append(out, w...)
		}
		return out, nil
	}
	return nil, fmt.Errorf("a %s; want a plain value, or a list of them", strings.ToLower(n.Type().String()))
}

// shared says whether a command takes its options from the section of compress, too.
func shared(name string) bool {
	return slices.Contains([]string{"explore", "status", "check", "convert"}, name)
}

// apply sets the flags that have no value yet, those of the command's own section first.
func (d *configDoc) apply(f *pflag.FlagSet, path string) error {
	for _, name := range []string{f.Name(), "compress"} {
		if name == "compress" && f.Name() != name && !shared(f.Name()) {
			continue
		}
		for _, s := range d.sections {
			if s.command != name {
				continue
			}
			if err := s.apply(f, name != f.Name()); err != nil {
				return usagef("%s: %w", path, err)
			}
		}
	}
	return nil
}

// apply sets flags; from another command's section those that say how to compress.
func (s *configSection) apply(f *pflag.FlagSet, borrowed bool) error {
	for _, v := range s.values {
		flag := f.Lookup(v.flag)
		if flag == nil || flag.Changed || borrowed && slices.Contains(ownOutput(), v.flag) {
			continue
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

// printConfig writes the flags that have a value as a configuration of the command.
func printConfig(w io.Writer, f *pflag.FlagSet) error {
	values := yaml.MapSlice{}
	f.VisitAll(func(flag *pflag.Flag) {
		if !flag.Changed || slices.Contains(configNames(), flag.Name) {
			return
		}
		var v any = flag.Value.String()
		switch list, ok := flag.Value.(pflag.SliceValue); {
		case ok:
			v = list.GetSlice()
		case flag.Value.Type() == "bool":
			v = flag.Value.String() == "true"
		case slices.Contains([]string{"int", "uint64", "float64"}, flag.Value.Type()):
			v = number(flag.Value.String())
		}
		values = append(values, yaml.MapItem{Key: flag.Name, Value: v})
	})
	data, err := yaml.Marshal(yaml.MapSlice{{Key: f.Name(), Value: values}})
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// number is a number's text, which YAML has without quotes.
type number string

// MarshalYAML writes the text as it is.
func (n number) MarshalYAML() ([]byte, error) { return []byte(n), nil }

func runConfig(_ context.Context, args []string, s streams) error {
	var c configFlags
	var schema bool
	f := newFlags("config")
	f.StringVar(&c.path, "config", "", "")
	f.BoolVar(&schema, "schema", false, "")
	rest, err := parse(f, args, s)
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return usagef("config takes no arguments, got %q; a file is named with --config", rest)
	case schema:
		data, err := configSchema()
		if err == nil {
			_, err = s.out.Write(data)
		}
		return err
	}
	path, doc, err := c.read()
	if err != nil {
		return err
	}
	count := 0
	for _, section := range doc.sections {
		count += len(section.values)
	}
	if len(doc.sections) == 0 {
		_, err = fmt.Fprintf(s.out, "%s: nothing is configured\n", path)
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s: ok, %d values for %d commands\n", path, count, len(doc.sections))
	return err
}
