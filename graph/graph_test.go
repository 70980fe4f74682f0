package graph

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func TestOperators(t *testing.T) {
	for _, c := range []struct{ domain, op, domainWant string }{
		{"", "Conv", ""}, {"ai.onnx", "Conv", ""}, {"com.microsoft", "com.microsoft::Conv", "com.microsoft"},
	} {
		n := Node{&onnxpb.NodeProto{OpType: proto.String("Conv"), Domain: proto.String(c.domain), Output: []string{"", "y"}}}
		if n.Op() != c.op || n.Domain() != c.domainWant || n.Type() != "Conv" {
			t.Errorf("%q: %s, %s, %s", c.domain, n.Op(), n.Domain(), n.Type())
		}
		if again := n.Spec().Node(); !proto.Equal(again.p, n.p) || again == n {
			t.Errorf("%q: made again it is %v", c.domain, again.p)
		}
		if n.Label() != "y" || n.Output(0) != "" || n.Output(1) != "y" || n.Output(2) != "" || n.Input(0) != "" {
			t.Errorf("%q: label %q", c.domain, n.Label())
		}
	}
	if n := NewNode("com.microsoft::Gelu", "", nil, nil); n.Domain() != "com.microsoft" || n.Type() != "Gelu" || n.p.Name != nil {
		t.Errorf("made %v", n.p)
	}
	if !(Node{}).IsZero() || NewNode("Neg", "", nil, nil).IsZero() {
		t.Error("IsZero is wrong")
	}
}

// TestSpec changes a node that has more than a Spec lists.
func TestSpec(t *testing.T) {
	p := node("n", "Conv", "x w", "y", Int("group", 2))
	p.Domain, p.DocString = proto.String("ai.onnx"), proto.String("a note")
	p.MetadataProps = []*onnxpb.StringStringEntryProto{{Key: proto.String("k"), Value: proto.String("v")}}
	p.DeviceConfigurations = []*onnxpb.NodeDeviceConfigurationProto{{ConfigurationId: proto.String("d"), ShardingSpec: []*onnxpb.ShardingSpecProto{{}}}}
	before := proto.CloneOf(p)
	s := Node{p}.Spec()
	s.Op, s.Inputs[1], s.Doc, s.Metadata = "ConvTranspose", "v", "", []Pair{{"a", "b"}}
	n := s.Node()
	if !proto.Equal(p, before) {
		t.Error("the old node has changed")
	}
	if n.Op() != "ConvTranspose" || n.p.GetDomain() != "ai.onnx" || n.Input(1) != "v" || n.Int("group", 1) != 2 || n.p.DocString != nil || n.Name() != "n" {
		t.Errorf("the new one is %v", n.p)
	}
	if got := n.Spec().Metadata; !slices.Equal(got, []Pair{{"a", "b"}}) {
		t.Errorf("metadata %v", got)
	}
	if d, ok := n.Sharded(); d != "d" || !ok {
		t.Error("the device configuration is lost")
	}
	if _, ok := NewNode("Neg", "", nil, nil).Sharded(); ok {
		t.Error("a plain node is sharded")
	}
}

func TestValues(t *testing.T) {
	for _, dims := range [][]Dim{nil, {}, {{Size: 2}, {Size: 0}}, {{Size: -1, Name: "N"}, {Size: -1}}} {
		v := NewValue("v", tensor.Int64, dims)
		if got := v.Dims(); (got == nil) != (dims == nil) || !slices.Equal(got, dims) || v.Type() != tensor.Int64 || !v.Dense() || v.Name() != "v" {
			t.Errorf("%v became %v of %v", dims, got, v.Type())
		}
	}
	if got := Sizes([]int{3, -1}); !slices.Equal(got, []Dim{{Size: 3}, {Size: -1}}) || Sizes(nil) != nil || Sizes([]int{}) == nil {
		t.Errorf("sizes %v", got)
	}
	open := NewValue("v", tensor.Undefined, nil)
	sequence := NewSequence("v", NewValue("", tensor.Int64, nil))
	for _, v := range []Value{open, sequence} {
		if v.Dense() || v.Type() != tensor.Undefined || v.Dims() != nil {
			t.Errorf("%v is a dense tensor", v.p)
		}
	}
	meant := &onnxpb.TensorShapeProto_Dimension{Denotation: proto.String("DATA_BATCH"), Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: 4}}
	old := Value{&onnxpb.ValueInfoProto{Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{
		TensorType: &onnxpb.TypeProto_Tensor{Shape: &onnxpb.TensorShapeProto{Dim: []*onnxpb.TensorShapeProto_Dimension{meant}}},
	}}}}
	if again := NewValue("v", tensor.Float32, old.Dims()); !proto.Equal(again.p.GetType().GetTensorType().GetShape().GetDim()[0], meant) {
		t.Errorf("the denotation is lost: %v", again.p)
	}
}

func TestView(t *testing.T) {
	p := small()
	p.Graph.Input = append(p.Graph.Input, value("conv.w", 3, 2, 3, 3), value("sparse", 1))
	p.Graph.SparseInitializer = []*onnxpb.SparseTensorProto{{Values: counting("sparse", 1).Proto(), Dims: []int64{7, 2}}}
	p.Graph.ValueInfo = []*onnxpb.ValueInfoProto{value("c", 1, 3, 4, 4), value("z", 1, 5)}
	p.Graph.QuantizationAnnotation = []*onnxpb.TensorAnnotation{{
		TensorName: proto.String("c"), QuantParameterTensorNames: []*onnxpb.StringStringEntryProto{{Key: proto.String("SCALE_TENSOR"), Value: proto.String("s")}},
	}}
	m := onnxio.New(p)
	g := Of(m)
	if Of(m) != g || g.Model() != m || g.Name() != "small" {
		t.Error("the view is not the model's")
	}
	if f := g.Feeds(); len(f) != 1 || f[0].Name() != "x" {
		t.Errorf("inputs to feed: %v", f)
	}
	if in, v := g.Inputs()[0], g.Values(); in.Dims()[0].Name != "N1" || len(v) != 2 || v[1].Dims()[0].Size != 1 {
		t.Errorf("x is declared %v, the values inside %v", in.Dims(), v)
	}
	if s := g.Sparse(); !g.IsSparse("sparse") || len(s) != 1 || !slices.Equal(s[0].Shape(), []int{7, 2}) {
		t.Errorf("sparse: %v", s)
	}
	if a := g.Annotations(); len(a) != 1 || a[0].Tensor() != "c" || !slices.Equal(a[0].Parameters(), []string{"s"}) {
		t.Errorf("annotations: %v", a)
	}
	for i, n := range g.Nodes() {
		if g.Position(n) != i {
			t.Errorf("node %d is at %d", i, g.Position(n))
		}
	}
	body, ok := g.Nodes()[5].Graph(m, "then_branch")
	if !ok || g.Position(body.Nodes()[0]) != -1 || body.IsInput("y") || body.Outputs()[0].Name() != "yes_out" {
		t.Error("the branch is not right")
	}
	for value, want := range map[string]bool{"c": true, "f": true, "y": false, "z": false, "shift": false} {
		if u, ok := g.Reader(value); ok != want || ok && u.Node.IsZero() {
			t.Errorf("%s has one reader: %v", value, ok)
		}
	}
	if got := g.Nodes()[5].Reads(); !slices.Equal(got, []string{"flag", "y", "shift"}) {
		t.Errorf("the branch reads %v", got)
	}
	needed := func(values ...string) (names []string) {
		for _, n := range Needed(g.Nodes(), values) {
			names = append(names, n.Label())
		}
		return names
	}
	if got := needed("f"); !slices.Equal(got, []string{"conv", "f"}) {
		t.Errorf("f needs %v", got)
	}
	if got := needed("z"); len(got) != 6 {
		t.Errorf("z needs %v", got)
	}
}

// withFunction returns a model with a branch, and a function that has a loop inside and takes an attribute.
func withFunction() *onnxpb.ModelProto {
	p := small()
	deep := Parts{Nodes: []Node{{node("deep", "Mul", "a b", "d", Tensor("odd", counting("", 2)))}}, Initializers: []onnxio.Tensor{counting("inner", 3)}}
	leaky := node("leaky", "LeakyRelu", "a", "l", Reference("alpha", "slope"), Reference("gone", "nothing"))
	f := NewFunction("my::F", []string{"a", "b"}, []string{"l"}, []Opset{{"", 11}}, []Node{
		{leaky}, {node("", "Loop", "", "o", Body("body", deep))}, {node("k", "Constant", "", "n", Floats("value_floats", 1, 2))},
	}, Float("slope", 0.25))
	p.Functions = []*onnxpb.FunctionProto{f.p}
	return p
}

func TestWalk(t *testing.T) {
	m := onnxio.New(withFunction())
	var got []string
	for at, n := range Walk(m) {
		got = append(got, fmt.Sprintf("%d %s|%s|%s", at.Index, at.Path, at.Holder.Name(), n.Label()))
	}
	want := []string{
		"0 ||conv", "1 ||f", "2 ||weight", "3 ||alias", "4 ||fc", "5 ||if", "5 if|if|yes/op", "5 if|if|no/op",
		"6 function my::F||leaky", "6 function my::F||o", "6 function my::F/o||deep", "6 function my::F||k",
	}
	if !slices.Equal(got, want) {
		t.Errorf("walked\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for stop := range want {
		n := 0
		for range Walk(m) {
			if n++; n > stop {
				break
			}
		}
		if n != stop+1 {
			t.Errorf("stopping after %d visited %d", stop+1, n)
		}
	}
	var tensors []string
	for v, index := range Tensors(m) {
		tensors = append(tensors, fmt.Sprintf("%s%v %v", v.Name(), v.Shape(), index))
	}
	if want := "conv.w[3 2 3 3] false, shift[1] false, flag[] false, [48 5] false, inner[3] false, [2] false, n[2] false"; strings.Join(tensors, ", ") != want {
		t.Errorf("tensors %s; want %s", strings.Join(tensors, ", "), want)
	}
	sparse := &onnxpb.SparseTensorProto{Values: counting("v", 1).Proto(), Indices: counting("i", 1).Proto()}
	m = onnxio.New(&onnxpb.ModelProto{Graph: &onnxpb.GraphProto{SparseInitializer: []*onnxpb.SparseTensorProto{sparse}}})
	tensors = nil
	for v, index := range Tensors(m) {
		tensors = append(tensors, fmt.Sprint(v.Name(), " ", index))
	}
	if !slices.Equal(tensors, []string{"i true", "v false"}) {
		t.Errorf("of a sparse tensor: %v", tensors)
	}
}

func TestFunctions(t *testing.T) {
	m := onnxio.New(withFunction())
	call := NewNode("my::F", "", []string{"x"}, []string{"y"}, Float("slope", 0.5))
	f, ok := Of(m).Called(call)
	if !ok || f.Op() != "my::F" || !slices.Equal(f.Inputs(), []string{"a", "b"}) || !slices.Equal(f.Outputs(), []string{"l"}) || !slices.Equal(f.Opsets(), []Opset{{"", 11}}) {
		t.Fatalf("called %v", f)
	}
	if _, ok := Of(m).Called(NewNode("F", "", nil, nil)); ok {
		t.Error("an operator of another domain is a call")
	}
	given, absent := f.Expand(call), f.Expand(NewNode("my::F", "", nil, nil))
	if given[0].Float("alpha", 0) != 0.5 || absent[0].Float("alpha", 0) != 0.25 || given[0].Has("gone") {
		t.Errorf("slopes %v and %v", given[0].Attrs(), absent[0].Attrs())
	}
	if f.Nodes()[0].Float("alpha", 0) != 0 || given[1] != f.Nodes()[1] {
		t.Error("the function itself has changed, or what has no reference is no longer shared")
	}
}

func TestParts(t *testing.T) {
	p := withFunction()
	p.OpsetImport = append(p.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: proto.String("ai.onnx"), Version: proto.Int64(17)})
	p.TrainingInfo = []*onnxpb.TrainingInfoProto{{}}
	p.Graph.DocString = proto.String("a graph")
	m := onnxio.New(p)
	before := proto.CloneOf(p)
	same := Of(m).Parts().Model()
	if !proto.Equal(same.Proto, p) || same.Proto.Graph.Node[0] != p.Graph.Node[0] {
		t.Error("parts put together again make another model")
	}
	parts := Of(m).Parts()
	parts.Nodes[0] = NewNode("Neg", "first", []string{"x"}, []string{"c"})
	parts.Nodes = append(parts.Nodes, NewNode("com::Odd", "", []string{"z"}, []string{"zz"}))
	parts.Opsets = append(parts.Opsets, Opset{"com", 1})
	parts.Outputs = []Value{NewValue("zz", tensor.Float32, nil)}
	changed := parts.Model()
	g := Of(changed)
	if n, _ := g.Producer("c"); n.Name() != "first" || !g.IsOutput("zz") || changed.Opset("com") != 1 || len(changed.Proto.TrainingInfo) != 1 {
		t.Error("a change is lost")
	}
	run := parts.Plain().Model().Proto
	if run.TrainingInfo != nil || run.MetadataProps != nil || run.Graph.DocString != nil || run.ProducerName != nil || len(run.Graph.Node) != 7 || len(run.Functions) != 1 {
		t.Errorf("a plain model has %v", run)
	}
	if data, err := parts.Marshal(); err != nil || len(data) == 0 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if !proto.Equal(p, before) {
		t.Error("the old model has changed")
	}
	small := Parts{IR: 8, Opsets: []Opset{{"", 17}}, Name: "g", Inputs: []Value{NewValue("x", tensor.Float32, Sizes([]int{2}))}, Outputs: []Value{NewValue("y", tensor.Float32, nil)}, Nodes: []Node{NewNode("Neg", "", []string{"x"}, []string{"y"})}}.Model()
	if err := small.Check(); err != nil {
		t.Error(err)
	}
}

func TestBuilder(t *testing.T) {
	m := onnxio.New(small())
	texts := map[int]string{
		12: "r/constant(), r/p/add(c,r/constant), r/p/reducesum(r/p/add){axes=[1]}, r/p/split(r/p/reducesum) r/p/split.1, r/p/reducemean(r/p/split.1)",
		18: "r/constant(), r/p/add(c,r/constant), r/constant_1(), r/p/reducesum(r/p/add,r/constant_1), r/p/split(r/p/reducesum) r/p/split.1, r/p/reducemean(r/p/split.1)",
	}
	for opset, want := range texts {
		b := NewBuilder(NewNameSet(m), opset, "r")
		b.Prefix = "r/p"
		one := b.Constant(tensor.Float32, []int{}, []float64{1})
		x := b.Op("Add", "c", b.Constant(tensor.Float32, []int{}, []float64{1}))
		x = b.Reduce("ReduceSum", x, []int{1}, true)
		x = b.Several("Split", []string{x}, 2)[1]
		b.Reduce("ReduceMean", x, nil, false)
		if one != "r/constant" || b.Err != nil {
			t.Errorf("opset %d: %s, %v", opset, one, b.Err)
		}
		var got []string
		for _, n := range b.Nodes {
			s := n.Outputs()[0] + "(" + strings.Join(n.Inputs(), ",") + ")"
			if axes := n.Ints("axes"); axes != nil {
				s += fmt.Sprintf("{axes=%v}", axes)
			}
			got = append(got, strings.Join(append([]string{s}, n.Outputs()[1:]...), " "))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("opset %d: %s; want %s", opset, strings.Join(got, ", "), want)
		}
		b.Constant(tensor.Float32, []int{3}, []float64{1})
		b.Ints(1, 2)
		if b.Err == nil || !strings.Contains(b.Err.Error(), "takes 3 numbers") {
			t.Errorf("opset %d: error %v", opset, b.Err)
		}
	}
}

// TestViewIsShared asks for the views of a model and of its children from several goroutines at once; it is the race
// detector that judges.
func TestViewIsShared(t *testing.T) {
	m := onnxio.New(small())
	var group errgroup.Group
	for range 8 {
		child := Of(m).Parts().Model()
		group.Go(func() error {
			for range 50 {
				if len(Of(m).Uses("c")) != 1 || len(Of(child).Uses("c")) != 1 {
					return errors.New("a use is lost")
				}
			}
			return child.Close()
		})
	}
	if err := errors.Join(group.Wait(), m.Close()); err != nil {
		t.Error(err)
	}
}

// TestWeightsAreNotCopied looks into a model with 64 MiB of weights and changes it.
func TestWeightsAreNotCopied(t *testing.T) {
	const weights, most = 64 << 20, 1 << 20
	p := Of(onnxio.New(small())).Parts()
	p.Initializers = append(p.Initializers, onnxio.DenseTensor("large", tensor.New(tensor.Float32, weights/4)))
	m := p.Model()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for v := range Tensors(m) {
		if v.Len() == 0 {
			t.Error("an empty tensor")
		}
	}
	w, ok := Of(Of(m).Parts().Model()).Constant("large")
	if !ok || w.Tensor.Bytes() != weights {
		t.Error("the weights are lost")
	}
	if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > most {
		t.Errorf("looking takes %d bytes, want at most %d", after.TotalAlloc-before.TotalAlloc, most)
	}
}

// FuzzView looks into arbitrary models, sound or not.
func FuzzView(f *testing.F) {
	for _, p := range []*onnxpb.ModelProto{small(), withFunction(), {IrVersion: proto.Int64(8)}} {
		data, err := proto.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := &onnxpb.ModelProto{}
		if proto.Unmarshal(data, p) != nil {
			return
		}
		m := onnxio.New(p)
		for _, n := range Walk(m) {
			for _, in := range n.Inputs() {
				Of(m).Constant(in)
				Of(m).Reader(in)
			}
			if f, ok := Of(m).Called(n); ok {
				f.Expand(n)
			}
			n.Value(m)
			n.Reads()
		}
		for v := range Tensors(m) {
			v.Bytes()
		}
		Of(m).Feeds()
		again := Of(m).Parts().Model()
		if p.Graph != nil && !proto.Equal(again.Proto, p) {
			t.Error("parts put together again make another model")
		}
	})
}

// TestPlaceholders: names that only say that a dimension is open are no names, and stay in the model.
func TestPlaceholders(t *testing.T) {
	for name, want := range map[string]string{"": "", "?": "", "None": "", "-1": "", "unk": "", "batch": "batch", "unk__6": "unk__6", "p2o.DynamicDimension.0": "p2o.DynamicDimension.0", "N": "N"} {
		v := NewValue("x", tensor.Float32, []Dim{{Size: -1, Name: name}, {Size: 3}})
		dims := v.Dims()
		if dims[0].Name != want || dims[0].Size != -1 {
			t.Errorf("%q is the name %q of size %d, want %q", name, dims[0].Name, dims[0].Size, want)
		}
		if again := NewValue("x", tensor.Float32, dims); again.Size() != v.Size() {
			t.Errorf("%q was lost", name)
		}
	}
}
