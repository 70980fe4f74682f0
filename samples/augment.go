package samples

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// Augment says how images, or texts, may be changed so that more can be learned from them. The zero value changes nothing.
type Augment struct {
	// Flip mirrors every other image left to right.
	Flip bool
	// Mirror is for what the images teach: class scores are averaged over an image and its mirror image. It brings Flip
	// with it.
	Mirror bool
	// Crop moves images by up to that many pixels along each axis, black coming in at the border: a random crop of the
	// image's own size out of the image with that much padding.
	Crop int
	// Mix blends every image with another one (mixup, Zhang and others, arXiv 1710.09412, with shares drawn evenly). A
	// model that is held to another one's outputs learns from such images too, for these are known for all inputs (Beyer
	// and others, arXiv 2106.05237). A text goes on from some token what another one has begun.
	Mix bool
}

// ParseAugment reads a list such as "flip,crop=4,mix"; the empty string changes nothing. The word "mirror" sets both Flip
// and Mirror.
func ParseAugment(s string) (Augment, error) {
	var a Augment
	if s == "" {
		return a, nil
	}
	for word := range strings.SplitSeq(s, ",") {
		name, value, given := strings.Cut(strings.TrimSpace(word), "=")
		switch {
		case name == "flip" && !given:
			a.Flip = true
		case name == "mirror" && !given:
			a.Flip, a.Mirror = true, true
		case name == "mix" && !given:
			a.Mix = true
		case name == "crop" && given:
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > maxSide {
				return a, fmt.Errorf("crop=%s: want a number of pixels from 1, such as crop=4", value)
			}
			a.Crop = n
		default:
			return a, unknown("augmentation", word, []string{"flip", "mirror", "crop=PIXELS", "mix"})
		}
	}
	return a, nil
}

// String writes the augmentation as ParseAugment reads it.
func (a Augment) String() string {
	var words []string
	switch {
	case a.Mirror:
		words = append(words, "mirror")
	case a.Flip:
		words = append(words, "flip")
	}
	if a.Crop > 0 {
		words = append(words, fmt.Sprintf("crop=%d", a.Crop))
	}
	if a.Mix {
		words = append(words, "mix")
	}
	return strings.Join(words, ",")
}

// Augmenter changes the images or texts of a source at random, by a seed.
type Augmenter struct {
	Augment
	seed  uint64
	texts *tokenInputs // nil for images
	input InputSpec
	last  bool     // channels are the last axis
	black [][]byte // the encoding of a black pixel, per channel
	typ   tensor.Type
}

// NewAugmenter returns an augmenter for samples that were prepared with o for the inputs of a model: one, of images, or those of tokens and
// what goes with them.
func NewAugmenter(a Augment, o SourceOptions, inputs []InputSpec, seed uint64) (*Augmenter, error) {
	if a.Crop < 0 || a.Crop > maxSide {
		return nil, fmt.Errorf("augmentation: a crop by %d pixels: want 0 to %d", a.Crop, maxSide)
	}
	if t := textsOf(inputs); t != nil {
		if a.Flip || a.Mirror || a.Crop > 0 {
			return nil, fmt.Errorf("augmentation: the model reads tokens (%s), and %s is for images; texts can be changed by mix", t.tokens, a)
		}
		return &Augmenter{Augment: a, seed: seed, texts: t}, nil
	}
	p, err := newPixels("augmentation", o, inputs, false)
	if err != nil {
		return nil, fmt.Errorf("augmentation is for images and texts: %w", err)
	}
	a.Flip = a.Flip || a.Mirror
	out := &Augmenter{Augment: a, seed: seed, input: p.input, last: p.last, typ: p.input.Type}
	for c := range p.table {
		if out.typ == tensor.Uint8 {
			out.black = append(out.black, []byte{0})
			continue
		}
		v, err := tensor.FromFloat32([]int{1}, []float32{p.table[c][0]}).Convert(out.typ)
		if err != nil {
			return nil, fmt.Errorf("augmentation: %w", err)
		}
		out.black = append(out.black, v.Data)
	}
	return out, nil
}

// random draws what is done to a sample in an epoch.
func (a *Augmenter) random(what string, epoch, index int) *rand.Rand {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], a.seed)
	binary.LittleEndian.PutUint64(key[8:], uint64(epoch))
	binary.LittleEndian.PutUint64(key[16:], uint64(index))
	copy(key[24:], what)
	return rand.New(rand.NewChaCha8(key))
}

// Augmented is a source whose samples are changed as they are to be in some epoch. Where they are blended, it is with
// samples numbered by Among.
type Augmented struct {
	Source
	By    *Augmenter
	Among []int
	Epoch int
}

// Sample implements Source.
func (a Augmented) Sample(i int) (Sample, error) {
	s, err := a.moved(i)
	if err != nil || !a.By.Mix {
		return s, err
	}
	r := a.By.random("mix", a.Epoch, i)
	other, err := a.moved(a.Among[r.IntN(len(a.Among))])
	if err != nil {
		return s, err
	}
	if a.By.texts != nil {
		return a.By.texts.splice(s, other, r)
	}
	return a.By.blend(s, other, r.Float64()/2)
}

func (a Augmented) moved(i int) (Sample, error) {
	s, err := a.Source.Sample(i)
	if err != nil || a.By.texts != nil {
		return s, err
	}
	return a.By.Apply(s, a.Epoch, i)
}

// Mirrored is a source whose images are mirrored left to right, all of them.
type Mirrored struct {
	Source
	By *Augmenter
}

// Sample implements Source.
func (m Mirrored) Sample(i int) (Sample, error) {
	s, err := m.Source.Sample(i)
	if err != nil {
		return s, err
	}
	s.Inputs, err = m.By.Mirrored(s.Inputs, s.Whole)
	return s, err
}

// blend puts a share of another sample into s.
func (a *Augmenter) blend(s, other Sample, share float64) (Sample, error) {
	x, y := s.Inputs[a.input.Name], other.Inputs[a.input.Name]
	if !slices.Equal(x.Shape, y.Shape) {
		return s, fmt.Errorf("samples %s and %s have the shapes %v and %v, and cannot be blended; crop them to one size", s.Name, other.Name, x.Shape, y.Shape)
	}
	v, err := x.Float64s()
	if err != nil {
		return s, fmt.Errorf("sample %s: %w", s.Name, err)
	}
	w, err := y.Float64s()
	if err != nil {
		return s, fmt.Errorf("sample %s: %w", other.Name, err)
	}
	out := make([]float64, len(v))
	for i := range v {
		if out[i] = (1-share)*v[i] + share*w[i]; !a.typ.IsFloat() {
			out[i] = math.Round(out[i])
		}
	}
	d, err := tensor.FromFloat64(x.Shape, out).Convert(a.typ)
	if err != nil {
		return s, fmt.Errorf("sample %s: %w", s.Name, err)
	}
	s.Inputs = map[string]tensor.Dense{a.input.Name: d}
	s.Share, s.Other = share, other.Label
	return s, nil
}

// Apply changes sample number index of a source as it is to be in some epoch. What comes out depends on the seed, the
// epoch and the index alone.
func (a *Augmenter) Apply(s Sample, epoch, index int) (Sample, error) {
	r := a.random("augment", epoch, index)
	mirror := r.IntN(2) == 1 && a.Flip
	dy, dx := r.IntN(2*a.Crop+1)-a.Crop, r.IntN(2*a.Crop+1)-a.Crop
	if !mirror && dy == 0 && dx == 0 {
		return s, nil
	}
	if s.Whole {
		return s, errors.New("ready-made batches cannot be augmented; give single images")
	}
	t, ok := s.Inputs[a.input.Name]
	if !ok || t.Type != a.typ {
		return s, fmt.Errorf("sample %s has no %s image for input %q", s.Name, a.typ, a.input.Name)
	}
	g, err := a.grid(t.Shape)
	if err != nil {
		return s, fmt.Errorf("sample %s: %w", s.Name, err)
	}
	if mirror {
		t = g.mirrored(t)
	}
	if dy != 0 || dx != 0 {
		t = g.moved(t, dy, dx, a.black)
	}
	s.Inputs = map[string]tensor.Dense{a.input.Name: t}
	return s, nil
}

// Mirrored returns inputs of a model, of one sample or of several stacked, with their images mirrored left to right.
func (a *Augmenter) Mirrored(inputs map[string]tensor.Dense, stacked bool) (map[string]tensor.Dense, error) {
	t, ok := inputs[a.input.Name]
	if !ok || t.Type != a.typ {
		return nil, fmt.Errorf("there is no %s image for input %q", a.typ, a.input.Name)
	}
	shape := t.Shape
	if stacked {
		shape = shape[1:]
	}
	g, err := a.grid(shape)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(inputs)
	all[a.input.Name] = g.mirrored(t)
	return all, nil
}

// grid is how the pixels of an image lie in its tensor: distances in elements.
type grid struct {
	channels, height, width int
	plane, row, column      int
}

// grid is that of an image of the given shape.
func (a *Augmenter) grid(s []int) (grid, error) {
	var g grid
	switch {
	case len(s) == 2:
		g = grid{1, s[0], s[1], s[0] * s[1], s[1], 1}
	case len(s) == 3 && a.last:
		g = grid{s[2], s[0], s[1], 1, s[1] * s[2], s[2]}
	case len(s) == 3:
		g = grid{s[0], s[1], s[2], s[1] * s[2], s[2], 1}
	default:
		return g, fmt.Errorf("its shape %v is not that of an image", s)
	}
	if g.channels > len(a.black) {
		return g, fmt.Errorf("it has %d channels, want at most %d", g.channels, len(a.black))
	}
	return g, nil
}

// mirrored returns one such image, or several stacked, mirrored left to right.
func (g grid) mirrored(t tensor.Dense) tensor.Dense {
	out := tensor.Dense{Type: t.Type, Shape: slices.Clone(t.Shape), Data: make([]byte, len(t.Data))}
	pixel := g.column * t.Type.Size()
	row := g.width * pixel
	for from := 0; from < len(t.Data); from += row {
		for x := 0; x < row; x += pixel {
			copy(out.Data[from+x:from+x+pixel], t.Data[from+row-pixel-x:])
		}
	}
	return out
}

// moved returns the image moved down by dy and right by dx pixels.
func (g grid) moved(t tensor.Dense, dy, dx int, black [][]byte) tensor.Dense {
	width := t.Type.Size()
	out := tensor.Dense{Type: t.Type, Shape: slices.Clone(t.Shape), Data: make([]byte, len(t.Data))}
	for c := range g.channels {
		for y := range g.height {
			for x := range g.width {
				to := (c*g.plane + y*g.row + x*g.column) * width
				fy, fx := y-dy, x-dx
				if fy < 0 || fy >= g.height || fx < 0 || fx >= g.width {
					copy(out.Data[to:to+width], black[c])
					continue
				}
				from := (c*g.plane + fy*g.row + fx*g.column) * width
				copy(out.Data[to:to+width], t.Data[from:])
			}
		}
	}
	return out
}
