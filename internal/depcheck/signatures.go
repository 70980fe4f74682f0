package depcheck

import (
	"bytes"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Unnameable returns a line for every exported declaration of a public package, and type under
// internal/ that it needs and that no public package exports under any name: whoever builds on
// the package could not write such a type down. Public are the packages of the module in root,
// tests left out, that neither lie under internal/ nor are programs.
func Unnameable(root, module string) ([]string, error) {
	packages, err := exported(root)
	if err != nil {
		return nil, err
	}
	w := walker{module: module, named: map[*types.TypeName]bool{}}
	for _, p := range packages {
		for _, name := range p.Scope().Names() {
			if t, ok := p.Scope().Lookup(name).(*types.TypeName); ok && t.Exported() {
				if named, ok := types.Unalias(t.Type()).(*types.Named); ok {
					w.named[named.Origin().Obj()] = true
				}
			}
		}
	}
	for _, p := range packages {
		for _, name := range p.Scope().Names() {
			if object := p.Scope().Lookup(name); object.Exported() {
				w.declaration(w.short(p)+"."+name, object)
			}
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(w.faults))), nil
}

// exported reads the public packages from what the compiler says that they export.
func exported(root string) ([]*types.Package, error) {
	list := exec.Command("go", "list", "-export", "-deps", "-f",
		"{{.ImportPath}} {{.Export}} {{if and .Module .Module.Main}}{{.Name}}{{end}}", "./...")
	list.Dir = root
	var words bytes.Buffer
	list.Stderr = &words
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, &words)
	}
	files, public := map[string]string{}, map[string]bool{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue // unsafe has no file
		}
		files[fields[0]] = fields[1]
		if len(fields) == 3 && fields[2] != "main" && !internal(fields[0]) {
			public[fields[0]] = true
		}
	}
	all := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })
	var packages []*types.Package
	for _, path := range slices.Sorted(maps.Keys(public)) {
		p, err := all.Import(path)
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	return packages, nil
}

func internal(path string) bool { return slices.Contains(strings.Split(path, "/"), "internal") }

// walker goes through the types of exported declarations.
type walker struct {
	module string
	named  map[*types.TypeName]bool // that have a public name
	faults []string
}

// short is a package's name relative to the module.
func (w *walker) short(p *types.Package) string { return strings.TrimPrefix(p.Path(), w.module+"/") }

// declaration looks at all that an exported object shows: of a type its methods, and what it is
// made of; of others their type.
func (w *walker) declaration(at string, object types.Object) {
	t, isType := object.(*types.TypeName)
	if !isType {
		w.see(at, object.Type())
		return
	}
	named, ok := types.Unalias(t.Type()).(*types.Named)
	if !ok {
		w.see(at, t.Type())
		return
	}
	if t.IsAlias() && !internal(named.Obj().Pkg().Path()) {
		return // shown where it is declared
	}
	for method := range named.Methods() {
		if method.Exported() {
			w.see(at+"."+method.Name(), method.Type())
		}
	}
	w.see(at, named.Underlying())
}

// see notes what is wrong with the types that a type is written with.
func (w *walker) see(at string, t types.Type) {
	switch t := t.(type) {
	case *types.Alias:
		for arg := range t.TypeArgs().Types() {
			w.see(at, arg)
		}
		w.see(at, types.Unalias(t))
	case *types.Named:
		for arg := range t.TypeArgs().Types() {
			w.see(at, arg)
		}
		if name := t.Origin().Obj(); name.Pkg() != nil && strings.HasPrefix(name.Pkg().Path(), w.module+"/") &&
			internal(name.Pkg().Path()) && !w.named[name] {
			w.faults = append(w.faults, fmt.Sprintf("%s needs %s.%s", at, w.short(name.Pkg()), name.Name()))
		}
	case *types.Struct:
		for field := range t.Fields() {
			if field.Exported() {
				w.see(at+"."+field.Name(), field.Type())
			} else if field.Embedded() { // whose fields show as its own
				w.see(at, field.Type().Underlying())
			}
		}
	case *types.Interface:
		for method := range t.ExplicitMethods() {
			if method.Exported() {
				w.see(at+"."+method.Name(), method.Type())
			}
		}
		for embedded := range t.EmbeddedTypes() {
			w.see(at, embedded)
		}
	case *types.Signature:
		for p := range t.TypeParams().TypeParams() {
			w.see(at, p.Constraint())
		}
		w.see(at, t.Params())
		w.see(at, t.Results())
	case *types.Tuple:
		for v := range t.Variables() {
			w.see(at, v.Type())
		}
	case *types.Union:
		for term := range t.Terms() {
			w.see(at, term.Type())
		}
	case *types.Map:
		w.see(at, t.Key())
		w.see(at, t.Elem())
	case interface{ Elem() types.Type }: // pointers, slices, arrays, channels
		w.see(at, t.Elem())
	}
}
