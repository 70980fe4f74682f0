package depcheck

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestSignatures(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
	faults, err := Unnameable(filepath.Join("..", ".."), House().Module)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		t.Errorf("%s, which no public package exports", fault)
	}
}

// TestUnnameable finds the internal types in each place that a signature has.
func TestUnnameable(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module m\n\ngo 1.26\n",
		"internal/deep/deep.go": `package deep

type Hidden struct{ Inner Deeper }
type Deeper int
type Shown struct{ Part Hidden }
type Pair[T any] struct{ A, B T }

func (Shown) Give() Deeper { return 0 }
func (Shown) keep(Hidden) {}
`,
		"open/open.go": `package open

import "m/internal/deep"

type Name = deep.Shown
type Struct struct {
	Field deep.Hidden
	Fine  deep.Shown
	own   deep.Deeper
	part
}
type part struct{ Promoted deep.Hidden }
type Face interface{ Do([]deep.Hidden) map[string]*deep.Deeper }
type List []deep.Pair[int]

var Var chan deep.Hidden

const Const deep.Deeper = 1

func Func(func(...deep.Hidden)) [2]deep.Shown { return [2]deep.Shown{} }
func own(deep.Hidden)                        {}
func Generic[T deep.Hidden | int](T)         {}

func (*Struct) Method() deep.Hidden { return deep.Hidden{} }
func (*Struct) method() deep.Hidden { return deep.Hidden{} }
`,
		"other/other.go": `package other

import (
	"m/internal/deep"
	"m/open"
)

func Fine(deep.Shown, open.Struct, open.Name) {}

type Same = open.Struct
`,
		"cmd/main.go": `package main

import "m/internal/deep"

func Free(deep.Hidden) {}

func main() {}
`,
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Unnameable(root, "m")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"open.Const needs internal/deep.Deeper",
		"open.Face.Do needs internal/deep.Deeper",
		"open.Face.Do needs internal/deep.Hidden",
		"open.Func needs internal/deep.Hidden",
		"open.Generic needs internal/deep.Hidden",
		"open.List needs internal/deep.Pair",
		"open.Name.Give needs internal/deep.Deeper",
		"open.Name.Part needs internal/deep.Hidden",
		"open.Struct.Field needs internal/deep.Hidden",
		"open.Struct.Method needs internal/deep.Hidden",
		"open.Struct.Promoted needs internal/deep.Hidden",
		"open.Var needs internal/deep.Hidden",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}
