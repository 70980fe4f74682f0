package samples

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // decoder
	_ "image/png"  // decoder
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp" // decoder

	"github.com/onnx-compress/onnx-compress/internal/bounded"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// images is a folder of JPEG, PNG and WebP files.
//
// They are resampled with the bilinear kernel, widened by the ratio when shrinking, as
// PIL and with it torchvision's Resize do; the crop is torchvision's CenterCrop. Gray
// is 0.299 R + 0.587 G + 0.114 B; transparency is dropped, and orientation tags are not
// looked at, both as PIL's convert has it.
type images struct {
	root   string
	files  []string // relative to root, with slashes, sorted
	opts   SourceOptions
	pixels *pixels
	labels []int
	// classes are the names of the classes, where the labels are places among these.
	classes []string
	faults  faults
}

// maxPixels bounds the size of a picture that is decoded.
const maxPixels = 1 << 27

func isImage(name string) bool {
	return slices.Contains([]string{".jpg", ".jpeg", ".png", ".webp"}, strings.ToLower(filepath.Ext(name)))
}

func openImages(root string, files []string, o SourceOptions, inputs []InputSpec) (Source, error) {
	p, err := newPixels("a folder of images", o, inputs, false)
	if err != nil {
		return nil, err
	}
	switch p.channels {
	case -1:
		p.channels = 3
	case 1, 3:
	default:
		return nil, fmt.Errorf("the model's input %s has %d channels; images have 1 or 3 (if the layout was mistaken, name it)", p.input, p.channels)
	}
	s := &images{root: root, files: files, opts: o, pixels: p}
	if s.labels, s.classes, err = readLabels(o.Labels, len(files), files); err != nil {
		return nil, err
	}
	return s, s.probe()
}

// findImages lists the images under a folder, relative to it.
func findImages(root string) ([]string, error) { return walkFiles(root, isImage) }

func (s *images) Len() int { return len(s.files) }

func (s *images) Describe() string {
	text := fmt.Sprintf("%d images in %s", len(s.files), s.root)
	switch {
	case s.opts.Resize.Short != 0:
		text += fmt.Sprintf(", short side %d", s.opts.Resize.Short)
	case s.opts.Resize.Exact != Size{}:
		text += ", resized to " + s.opts.Resize.Exact.String()
	}
	if s.opts.Crop != (Size{}) {
		text += ", centre crop " + s.opts.Crop.String()
	}
	if s.pixels.order == BGR {
		text += ", BGR"
	}
	return text + s.opts.describe(true)
}

func (s *images) accounted() string { return s.faults.text(len(s.files)) }

func (s *images) path(name string) string { return filepath.Join(s.root, filepath.FromSlash(name)) }

func (s *images) Sample(i int) (Sample, error) {
	for {
		name := s.files[i]
		img, err := readImage(s.path(name))
		if err == nil {
			return s.prepare(img, i)
		}
		if err := s.faults.add(name, err, len(s.files)); err != nil {
			return Sample{}, err
		}
		i = (i + 1) % len(s.files)
	}
}

// prepare makes sample i of its picture.
func (s *images) prepare(img *image.NRGBA, i int) (Sample, error) {
	path := s.path(s.files[i])
	img, err := s.shape(img)
	if err != nil {
		return Sample{}, fmt.Errorf("image %s: %w", path, err)
	}
	size := img.Bounds().Size()
	if p := s.pixels; p.height >= 0 && p.height != size.Y || p.width >= 0 && p.width != size.X {
		return Sample{}, fmt.Errorf("image %s: it is %dx%d (height x width), the model wants %sx%s; %s", path, size.Y, size.X, side(p.height), side(p.width), p.preparation())
	}
	t, err := s.pixels.tensor(s.pixels.channels, size.Y, size.X, s.channelAt(img))
	if err != nil {
		return Sample{}, fmt.Errorf("image %s: %w", path, err)
	}
	return newSample(s.files[i], s.labels, i, s.pixels.input.Name, t), nil
}

// preparation says how images come to the size that the model wants.
func (p *pixels) preparation() string {
	switch {
	case min(p.height, p.width) < 0: // lines of text, for the most part
		return fmt.Sprintf("resize the images (--resize %d, the length of the short side)", max(p.height, p.width))
	case p.height == p.width:
		return fmt.Sprintf("resize or crop the images, as they were for training: classifiers mostly see the middle (--resize %d --crop %d), detectors the whole image (--resize %dx%d)",
			p.height*8/7, p.height, p.height, p.width) // as 256 are to 224
	}
	return fmt.Sprintf("resize or crop the images, as they were for training (--resize %dx%d)", p.height, p.width)
}

func side(n int) string {
	if n < 0 {
		return "any"
	}
	return fmt.Sprint(n)
}

// readImage decodes a JPEG, PNG or WebP file to colours without premultiplied alpha.
func readImage(path string) (*image.NRGBA, error) {
	f, info, err := bounded.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := checkHeader(f, info.Size(), path); err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, 0); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(f)
	if err != nil {
		return nil, undecoded(path, err)
	}
	return opaque(img), nil
}

// headerOf is what is wrong with the start of an image, nil where nothing is.
func headerOf(path string) error {
	f, info, err := bounded.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return checkHeader(f, info.Size(), path)
}

// checkHeader refuses an image of so many bytes that is none, or too large.
func checkHeader(f io.Reader, size int64, path string) error {
	config, _, err := image.DecodeConfig(f)
	if err != nil {
		return undecoded(path, err)
	}
	if config.Width < 1 || config.Height < 1 || config.Width > maxPixels/config.Height {
		return fmt.Errorf("image %s: it is %dx%d; want 1 to %d pixels", path, config.Height, config.Width, maxPixels)
	}
	if err := bounded.Packed(size, 4*int64(config.Width)*int64(config.Height)); err != nil {
		return fmt.Errorf("image %s: %w", path, err)
	}
	return nil
}

// undecoded is the error of a file that is no image, or a damaged one.
func undecoded(path string, err error) error {
	return explained(path, fmt.Errorf("image %s: it cannot be decoded as JPEG, PNG or WebP: %w", path, err))
}

// opaque returns the colours of an image, its transparency dropped.
func opaque(img image.Image) *image.NRGBA {
	b := img.Bounds()
	out := image.NewNRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	if n, ok := img.(*image.NRGBA); ok {
		draw.Draw(out, out.Bounds(), n, b.Min, draw.Src)
	} else if o, ok := img.(interface{ Opaque() bool }); ok && o.Opaque() {
		draw.Draw(out, out.Bounds(), img, b.Min, draw.Src)
	} else {
		for y := range b.Dy() {
			for x := range b.Dx() {
				out.SetNRGBA(x, y, color.NRGBAModel.Convert(img.At(b.Min.X+x, b.Min.Y+y)).(color.NRGBA))
			}
		}
	}
	for i := 3; i < len(out.Pix); i += 4 {
		out.Pix[i] = 255
	}
	return out
}

// shape resizes and crops as the options say.
func (s *images) shape(img *image.NRGBA) (*image.NRGBA, error) {
	size := img.Bounds().Size()
	target, err := s.resized(Size{Height: size.Y, Width: size.X})
	if err != nil {
		return nil, err
	}
	if target.Width != size.X || target.Height != size.Y {
		out := image.NewNRGBA(image.Rect(0, 0, target.Width, target.Height))
		draw.BiLinear.Scale(out, out.Bounds(), img, img.Bounds(), draw.Src, nil)
		img = out
	}
	if c := s.opts.Crop; c != (Size{}) {
		size = img.Bounds().Size()
		if c.Width > size.X || c.Height > size.Y {
			return nil, fmt.Errorf("a crop of %s does not fit into its %dx%d pixels; resize it first (--resize %d, the length of the short side), or in place of the crop (--resize %s)", c, size.Y, size.X, max(c.Height, c.Width), c)
		}
		x, y := middle(size.X-c.Width), middle(size.Y-c.Height)
		img = img.SubImage(image.Rect(x, y, x+c.Width, y+c.Height)).(*image.NRGBA)
	}
	return img, nil
}

// resized is the size that images of a size get before they are cropped.
func (s *images) resized(size Size) (Size, error) {
	short := s.opts.Resize.Short
	if short == 0 {
		return cmp.Or(s.opts.Resize.Exact, size), nil
	}
	// torchvision keeps the aspect ratio by rounding the long side down.
	target := Size{short, short}
	if size.Width > size.Height {
		target.Width = short * size.Width / size.Height
	} else {
		target.Height = short * size.Height / size.Width
	}
	if target.Height > maxPixels/target.Width {
		return target, errors.New("it is too long and thin to be resized by its short side")
	}
	return target, nil
}

// middle halves a margin, rounding halves to even as Python's round does.
func middle(margin int) int { return int(math.RoundToEven(float64(margin) / 2)) }

// channelAt returns the accessor of the image's bytes in the model's channel order.
func (s *images) channelAt(img *image.NRGBA) func(c, y, x int) byte {
	from := img.Bounds().Min
	base := img.PixOffset(from.X, from.Y)
	if s.pixels.channels == 1 {
		return func(_, y, x int) byte {
			p := img.Pix[base+y*img.Stride+4*x:]
			return byte((19595*uint32(p[0]) + 38470*uint32(p[1]) + 7471*uint32(p[2]) + 1<<15) >> 16)
		}
	}
	flip := 0
	if s.pixels.order == BGR {
		flip = 2
	}
	return func(c, y, x int) byte {
		if flip != 0 {
			c = flip - c
		}
		return img.Pix[base+y*img.Stride+4*x+c]
	}
}

// newSample makes the sample of a source with one input.
func newSample(name string, labels []int, i int, input string, t tensor.Dense) Sample {
	label := -1
	if labels != nil {
		label = labels[i]
	}
	return Sample{Name: name, Label: label, Inputs: map[string]tensor.Dense{input: t}}
}
