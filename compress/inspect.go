package compress

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"
	"github.com/onnx-compress/onnx-compress/verify"
)

// InspectionSchema names the shape of an Inspection as JSON.
const InspectionSchema = "onnx-compress/inspection/1"

// Inspection is what a model offers, for people and scripts.
type Inspection struct {
	Schema string `json:"schema"`
	Path   string `json:"path"`
	// MACs of one inference at the model's own batch, or at batch 1 where it is free.
	MACs   int64 `json:"macs"`
	Params int64 `json:"params"`
	// Inputs are what a caller of the model gives.
	Inputs []InputInspection `json:"inputs"`
	// Outputs are what the model gives, and what that is taken for.
	Outputs []OutputInspection `json:"outputs"`
	Sites   []SiteInspection   `json:"sites"`
	Skipped []Skipped          `json:"skipped"`
	// Axes are what may be narrowed, by Width, and Whole the axes that may not and the channels that are on none.
	Axes  []AxisInspection `json:"axes,omitempty"`
	Whole []WholeAxis      `json:"whole,omitempty"`
	// Supposed are the shapes of the inputs that axes were looked for at, where some of their sizes are unknown.
	Supposed map[string][]int `json:"supposed,omitempty"`
	// Unknown are the input sizes that nothing tells, and Suggested, for inputs that have such beyond the batch, shapes that they usually run at.
	Unknown   []string         `json:"unknown,omitempty"`
	Suggested map[string][]int `json:"suggested,omitempty"`
	// Uncounted are nodes that multiply, but at an unknown size.
	Uncounted []Skipped `json:"uncounted,omitempty"`
}

// InputInspection is an input as the model declares it.
type InputInspection struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Shape has -1 for sizes that are open; nil where even the number of axes is.
	Shape []int `json:"shape"`
	// Kind is empty where nothing tells what the input takes.
	Kind InputKind `json:"kind,omitempty"`
}

// OutputInspection is an output and the kind that its shape and the nodes that make it show.
type OutputInspection struct {
	Name string      `json:"name"`
	Kind verify.Kind `json:"kind"`
	// Doubt says what else it may be, and how to say so; empty where nothing is open.
	Doubt string `json:"doubt,omitempty"`
}

// SiteInspection is a site before anything was decided about it.
type SiteInspection struct {
	Name   string `json:"name"`
	Op     string `json:"op"`
	Weight string `json:"weight"`
	Type   string `json:"type"`
	Out    int    `json:"out"`
	In     int    `json:"in"`
	Window []int  `json:"window,omitempty"`
	Groups int    `json:"groups"`
	Params int64  `json:"params"`
	// MACs is 0 where the size is unknown.
	MACs int64 `json:"macs"`
	// BreakEven is the largest rank at which two factors are smaller than the
	// weight; MaxRank the one that rebuilds it.
	BreakEven int    `json:"break_even"`
	MaxRank   int    `json:"max_rank"`
	Note      string `json:"note,omitempty"`
	// Spectra has an entry per method that saves something here; nil where that was not
	// asked for.
	Spectra []SpectrumInspection `json:"spectra,omitempty"`
}

// AxisInspection is an axis before anything was decided about it.
type AxisInspection struct {
	Name  string `json:"name"`
	Units int    `json:"units"`
	// Producers and Readers are the sites that compute the units and that read them, and Between the other nodes that change.
	Producers []string `json:"producers"`
	Readers   []string `json:"readers"`
	Between   []string `json:"between,omitempty"`
	// Products are nodes that sum over the units of queries and keys, which no site reads then.
	Products []string `json:"products,omitempty"`
}

// ReadBy names what the units go to: sites, or products.
func (x AxisInspection) ReadBy() string {
	return strings.Join(slices.Concat(x.Readers, x.Products), ", ")
}

// Inspect lists what Analyse finds where nothing bounds the result, without reading weights.
func Inspect(m *onnxio.Model, inputs map[string][]int, sel Selection) (*Inspection, error) {
	a, err := Analyse(context.Background(), m, Options{InputShapes: inputs, Select: sel})
	if err != nil {
		return nil, err
	}
	return inspection(a)
}

func inspection(a *Analysis) (*Inspection, error) {
	out := &Inspection{
		Schema: InspectionSchema, Path: a.model.Path, MACs: a.Costs.MACs, Params: a.Costs.Params,
		Inputs: inputsOf(a.model), Outputs: []OutputInspection{}, Sites: []SiteInspection{}, Skipped: []Skipped{},
	}
	for i := range a.Sites {
		s := &a.Sites[i]
		out.Sites = append(out.Sites, SiteInspection{
			Name: s.Name, Op: s.Op, Weight: s.Weight, Type: s.Dtype.String(),
			Out: s.Kernel.Out, In: s.Kernel.In, Window: s.Kernel.Window, Groups: s.Kernel.Groups,
			Params: s.Kernel.Params(), MACs: s.DenseMACs(), BreakEven: s.Kernel.BreakEven(),
			MaxRank: min(s.Kernel.Rows(), s.Kernel.Cols()), Note: s.Note,
		})
	}
	for _, s := range a.Skips {
		out.Skipped = append(out.Skipped, Skipped{s.Name, s.Op, s.Reason})
	}
	for _, u := range a.Unknown {
		out.Unknown = append(out.Unknown, u.String())
	}
	out.Uncounted = uncounted(a.Costs)
	sized, err := out.narrowable(a)
	if err != nil {
		return nil, err
	}
	list, err := outputs.Of(a.model, outputs.Options{})
	if err != nil {
		return nil, err
	}
	for _, o := range list {
		if shape, known := sized.Of(o.Name); known {
			o = o.At(o.Lead(shape))
		}
		out.Outputs = append(out.Outputs, OutputInspection{o.Name, o.Kind, o.Doubt})
	}
	if len(a.Unknown) > 0 {
		out.Suggested = usual(a.model, a.inputs, out.Outputs)
	}
	return out, nil
}

// inputsOf lists the inputs that a caller gives.
func inputsOf(m *onnxio.Model) []InputInspection {
	out := []InputInspection{}
	kinds := inputKinds(graph.Of(m))
	for _, v := range graph.Of(m).Feeds() {
		in := InputInspection{Name: v.Name(), Type: v.Type().String(), Kind: kinds[v.Name()]}
		if dims := v.Dims(); dims != nil {
			in.Shape = []int{}
			for _, d := range dims {
				size := d.Size
				if size == 0 { // as some exporters write an open one
					size = -1
				}
				in.Shape = append(in.Shape, size)
			}
		}
		out = append(out, in)
	}
	return out
}

// supposed completes the shapes of the inputs with sizes that hardly anything else has: those of one name are the same, as are those of
// no name along one axis. Caches hold nothing. What lies along which axis of a value does not depend on them.
func (a *Analysis) supposed() map[string][]int {
	sizes, next := map[string]int{}, []int{17, 19, 23, 29, 31, 37}
	kinds, long := inputKinds(graph.Of(a.model)), []int{16007, 16033, 16057}
	if streams(kinds) {
		long = []int{521, 523, 541} // of which a piece gives as many steps as one of usualPiece
	}
	given := maps.Clone(a.inputs)
	if given == nil {
		given = map[string][]int{}
	}
	if inputs, err := samples.Inputs(a.model); err == nil { // else there are none that can be caches
		for _, in := range inputs {
			if shape, ok := in.Past(); ok && given[in.Name] == nil {
				given[in.Name] = shape
			}
		}
	}
	for _, in := range graph.Of(a.model).Feeds() {
		dims := in.Dims()
		if given[in.Name()] != nil || len(dims) == 0 {
			continue
		}
		for i, d := range dims {
			size := d.Size
			switch name := cmp.Or(d.Name, fmt.Sprint(i)); {
			case size > 0:
			case i == 0 || kinds[in.Name()] == TakesState: // which has an axis of samples somewhere
				size = 1
			case len(dims) == 4: // as images have it
				size = 224
			case sizes[name] > 0:
				size = sizes[name]
			case kinds[in.Name()] == TakesWave: // of which a window may be long
				size = long[len(sizes)%len(long)]
				sizes[name] = size
			default:
				size = next[len(sizes)%len(next)]
				sizes[name] = size
			}
			given[in.Name()] = append(given[in.Name()], size)
		}
	}
	concrete, _ := shapes.InputShapes(a.model, given)
	return concrete
}

// narrowable adds the axes, and gives the shapes of values that they were looked for at.
func (i *Inspection) narrowable(a *Analysis) (*shapes.Shapes, error) {
	wide := *a
	wide.Axes, wide.Whole = nil, nil
	if len(a.Unknown) > 0 {
		i.Supposed = a.supposed()
		if err := wide.expand(a.model, i.Supposed); err != nil {
			return nil, err
		}
		if wide.model != a.model {
			var err error
			if wide.Sites, wide.Skips, err = rewrite.Sites(wide.model, wide.Shapes); err != nil {
				return nil, err
			}
		}
	}
	sites, skips, err := wide.findAxes(Options{Methods: []string{Width}}, wide.Sites, wide.Skips)
	if err != nil {
		return nil, err
	}
	chosen := func(s rewrite.Site) bool { return a.excluded[s.Node] != "" }
	wide.Sites, wide.Skips = slices.DeleteFunc(sites, chosen), append(skips, a.Skips...)
	found := wide.narrowable(Options{Memory: math.MaxInt64}, wide.Axes)
	for _, x := range found.Axes {
		one := AxisInspection{Name: x.Name, Units: x.Units, Producers: siteNames(x.Producers), Readers: siteNames(x.Readers)}
		for _, n := range x.Between {
			one.Between = append(one.Between, n.Label())
		}
		one.Products = productNames(&x)
		i.Axes = append(i.Axes, one)
	}
	i.Whole = found.Whole
	return wide.Shapes, nil
}

// siteNames are those of ports.
func siteNames(ports []rewrite.Port) []string {
	var out []string
	for _, p := range ports {
		out = append(out, p.Site.Name)
	}
	return out
}

// uncounted lists the nodes that multiply at an unknown size.
func uncounted(c rewrite.Costs) []Skipped {
	var out []Skipped
	for _, u := range c.Unlocated {
		out = append(out, Skipped{u.Name, u.Op, u.Why})
	}
	return out
}

// MethodText is a method's documentation.
type MethodText struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	Doc     string `json:"doc"`
	Formula string `json:"formula"`
	Chain   string `json:"chain"`
	Cost    string `json:"cost"`
	Source  string `json:"source"`
}

// MethodsSchema names the shape of a MethodList as JSON.
const MethodsSchema = "onnx-compress/methods/1"

// MethodList documents methods.
type MethodList struct {
	Schema  string       `json:"schema"`
	Methods []MethodText `json:"methods"`
}

// MethodTexts documents every method there is.
func MethodTexts() *MethodList {
	out := &MethodList{Schema: MethodsSchema}
	for _, m := range decomp.Methods() {
		out.Methods = append(out.Methods, textOf(m))
	}
	out.Methods = append(out.Methods, widthText())
	return out
}

// MethodTextNamed documents one method. A name that no method has is a *UsageError.
func MethodTextNamed(name string) (MethodText, error) {
	all := MethodTexts().Methods
	var names []string
	for _, m := range all {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return MethodText{}, known("method", name, names)
}

// widthText documents what no decomposition does.
func widthText() MethodText {
	return MethodText{
		Name: Width, Title: "fewer channels between layers: no node is added",
		Doc: `Between two layers lies a value of so many channels (or hidden units). Those that the others tell most about are left out:
what computes them has fewer outputs, what lies between becomes narrower, and what reads them gets new weights that make up for
them. Units leave one at a time, each time the one that costs least (optimal brain surgeon), which gives every width at once.
The graph keeps its nodes, so that the model is faster by what it saves. Widths are multiples of 16, or of 8 where there are fewer
than 32 units, unless other multiples are asked for. Without samples near-equal units are merged, where ReLU, ReLU6, GELU or nothing
lies between two layers.`,
		Formula: "h ≈ T h_S for the units S that stay; W' = W A_:S (A_SS)⁻¹, loss tr(G (W−W') A (W−W')ᵀ) summed over what reads them",
		Chain:   "the same nodes, narrower",
		Cost:    "of a layer with k of H outputs k/H, and of one with k of H inputs k/H",
		Source:  "Hassibi and Stork, Second order derivatives for network pruning: optimal brain surgeon, NIPS 5, 1993",
	}
}

func textOf(m decomp.Method) MethodText {
	return MethodText{m.Name, m.Title, m.Doc, m.Formula, m.ChainText, m.CostText, m.Source}
}
