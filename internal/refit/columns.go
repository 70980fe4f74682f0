package refit

import (
	"fmt"
	"slices"
	"sync"

	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// layout says how the input x and the output y of a site, of some shapes, are summed: which summation for each, in units
// of that many.
type layout struct {
	x, y   moments.Summation
	xy     moments.Cross
	nx, ny int // units of x and y
	nxy    int
}

// layouts finds layouts, and keeps the last few: samples mostly come in few sizes.
type layouts struct {
	site *rewrite.Site
	thin moments.Thinning
	mu   sync.Mutex
	kept map[string]*layout
}

func newLayouts(s *rewrite.Site, thin moments.Thinning) *layouts {
	return &layouts{site: s, thin: thin, kept: map[string]*layout{}}
}

// of is the layout of a run for an input and an output of these shapes. Of a convolution's output it takes what thin leaves.
func (l *layouts) of(x, y []int, run int) (*layout, error) {
	const most = 8
	l.mu.Lock()
	defer l.mu.Unlock()
	name := fmt.Sprint(x, y)
	if len(y) == 2+len(l.thin) {
		name = fmt.Sprint(name, l.thin.Starts(y[2:], run))
	}
	if found, ok := l.kept[name]; ok {
		return found, nil
	}
	if len(l.kept) >= most {
		clear(l.kept)
	}
	made, err := l.layout(x, y, run)
	if err == nil {
		l.kept[name] = made
	}
	return made, err
}

func (l *layouts) layout(x, y []int, run int) (*layout, error) {
	s := l.site
	wrong := fmt.Errorf("its input of shape %v and output of shape %v do not fit a %v kernel", x, y, s.Kernel)
	if len(x) == 0 || len(y) == 0 {
		return nil, wrong
	}
	channels := y[s.ChannelAxis(len(y))]
	switch {
	case s.View.Stack > 0 && channels == s.Kernel.Rows():
		return stackLayout(s, x, y, wrong)
	case channels != s.Kernel.Out:
		return nil, wrong
	case s.View.Kind == rewrite.ConvPatches:
		return l.conv(x, y, run, wrong)
	}
	in, out, last := s.Kernel.In, s.Kernel.Out, len(x)-1
	n := tensor.Product(x) / max(in, 1)
	if tensor.Product(y) != n*out {
		return nil, wrong
	}
	yRows := s.ChannelAxis(len(y)) == len(y)-1
	made := &layout{nx: 1, ny: 1, nxy: 1}
	if yRows {
		made.y, made.ny = moments.Rows(out, 1), n
	} else {
		made.y = moments.Direct(moments.Pixels(out, 1, n))
	}
	switch kind := s.View.Kind; {
	case kind == rewrite.LastAxis || last == 0:
		if x[last] != in {
			return nil, wrong
		}
		made.x, made.nx = moments.Rows(in, 1), n
		made.xy = moments.MatrixCross(out, in, n, yRows, true)
	case kind == rewrite.SecondLastAxis && x[last-1] == in && !yRows:
		made.nx = tensor.Product(x[:last-1])
		made.ny, made.nxy = made.nx, made.nx
		made.x = moments.Direct(moments.Pixels(in, 1, x[last]))
		made.y = moments.Direct(moments.Pixels(out, 1, x[last]))
		made.xy = moments.MatrixCross(out, in, x[last], false, false)
	case kind == rewrite.FirstAxis && x[0] == in:
		made.x = moments.Direct(moments.Pixels(in, 1, n))
		made.xy = moments.MatrixCross(out, in, n, yRows, false)
	default:
		return nil, wrong
	}
	return made, nil
}

// stackLayout is the layout of a stack of matrices: each a group, and each unit one of them all.
func stackLayout(s *rewrite.Site, x, y []int, wrong error) (*layout, error) {
	k, lead, last := s.Kernel, len(x)-2-s.View.Stack, len(x)-1
	inRows := s.View.Kind == rewrite.LastAxis
	in, along := last, last-1
	if !inRows {
		in, along = along, in
	}
	if lead < 0 || len(y) != len(x) || !slices.Equal(x[:last-1], y[:last-1]) || tensor.Product(x[lead:last-1]) != k.Groups || x[in] != k.In/k.Groups || x[along] != y[along] {
		return nil, wrong
	}
	n, units := x[along], tensor.Product(x[:lead])
	l := &layout{nx: units, ny: units, nxy: units, xy: moments.StackedCross(k.Groups, k.Rows(), x[in], n, inRows, inRows)}
	if inRows {
		l.x, l.y = moments.StackedRows(x[in], k.Groups, n), moments.StackedRows(k.Rows(), k.Groups, n)
	} else {
		l.x, l.y = moments.Direct(moments.Pixels(k.In, k.Groups, n)), moments.Direct(moments.Pixels(k.Out, k.Groups, n))
	}
	return l, nil
}

func (l *layouts) conv(x, y []int, run int, wrong error) (*layout, error) {
	s, v := l.site, l.site.View
	if len(x) != 2+len(v.Window) || x[1] != s.Kernel.In || x[0] != y[0] || !slices.Equal(y[2:], v.Output(x[2:])) {
		return nil, wrong
	}
	p := moments.Windows(s, x[2:]).Thinned(l.thin, run)
	sum, cross := moments.Conv, moments.ConvCross
	if v.Transposed {
		sum, cross = moments.Transposed, moments.TransposedCross
	}
	return &layout{
		x: sum(p), y: moments.Direct(moments.Pixels(s.Kernel.Out, s.Kernel.Groups, p.Out...)), xy: cross(p, s.Kernel.Out),
		nx: x[0], ny: x[0], nxy: x[0],
	}, nil
}

// unfilled takes the filler off the end of a batch of size samples of which count are real. It is false where filler
// cannot be told from samples, because axis 0 is not the batch.
func unfilled(s *rewrite.Site, t tensor.Dense, output bool, size, count int) (tensor.Dense, bool) {
	if size <= count {
		return t, true
	}
	axes := 1
	if s.View.Kind == rewrite.SecondLastAxis {
		axes = 2
	}
	if s.View.Stack > 0 {
		axes = s.View.Stack + 2
	}
	switch {
	case len(t.Shape) <= axes || t.Shape[0] != size, s.View.Kind == rewrite.FirstAxis, output && s.ChannelAxis(len(t.Shape)) == 0:
		return t, false
	}
	t.Data = t.Data[:len(t.Data)/size*count]
	t.Shape = append([]int{count}, t.Shape[1:]...)
	return t, true
}
