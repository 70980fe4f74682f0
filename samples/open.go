package samples

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/bounded"
	"github.com/onnx-compress/onnx-compress/internal/filekind"
)

// Open opens the samples at path, prepared for the given inputs:
//
//   - a folder of JPEG, PNG and WebP images, searched recursively, in the order of their paths; links are
//     followed, hidden files passed over; one image file is also taken;
//   - a .npy file (models with one input) or a .npz file (one array per input, by name),
//     whose first axis numbers the samples; what a decoder takes beside the ids of tokens is made of these where
//     the file lacks it: masks, positions, and empty caches;
//   - a folder with test_data_set_* folders as ONNX's test models have them, or one of
//     those: input_0.pb, input_1.pb, … in the order of the inputs, each sample a whole batch;
//   - any other file: binary records as those of CIFAR-10, one byte with the label and
//     then the pixels of an image of the input's size, channel by channel.
//
// Texts and sound are refused by the ends of their names, with the words of what makes samples of them.
// An option that does not apply to the kind of source is an error.
func Open(path string, o SourceOptions, inputs []InputSpec) (Source, error) {
	s, err := open(path, o, inputs)
	if err != nil {
		return nil, fmt.Errorf("samples: %w", err)
	}
	return s, nil
}

func open(path string, o SourceOptions, inputs []InputSpec) (Source, error) {
	if len(inputs) == 0 {
		return nil, fmt.Errorf("%s: the model has no inputs to feed", path)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return openFolder(path, o, inputs)
	}
	if err := bounded.Regular(path, info); err != nil {
		return nil, err
	}
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case ext == ".npy":
		return openNPY(path, o, inputs)
	case ext == ".npz":
		return openNPZ(path, o, inputs)
	case isImage(path):
		return openImages(filepath.Dir(path), []string{filepath.Base(path)}, o, inputs)
	}
	if err := byDoor(path); err != nil {
		return nil, err
	}
	return openRecords(path, info.Size(), o, inputs)
}

func openFolder(path string, o SourceOptions, inputs []InputSpec) (Source, error) {
	sets, err := findTestData(path)
	if err != nil {
		return nil, err
	}
	if len(sets) > 0 {
		return openTestData(path, sets, o, inputs)
	}
	files, err := findImages(path)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: the folder has neither JPEG, PNG or WebP images nor test_data_set_* folders%s", path, instead(path))
	}
	return openImages(path, files, o, inputs)
}

// instead says what a folder without images has that could be samples in another form.
func instead(folder string) string {
	found := map[string]int{}
	files, err := walkFiles(folder, func(string) bool { return true })
	if err != nil {
		return ""
	}
	for _, f := range files {
		found[strings.ToLower(filepath.Ext(f))]++
	}
	for _, ext := range []string{".bmp", ".gif", ".tif", ".tiff", ".heic", ".avif", ".jp2", ".ppm"} {
		if n := found[ext]; n > 0 {
			return fmt.Sprintf("; its images that end in %s, %d of them, cannot be decoded: convert them to PNG, JPEG or WebP", ext, n)
		}
	}
	for _, ext := range []string{".npy", ".npz", ".bin"} {
		if found[ext] > 0 {
			return fmt.Sprintf("; name one of its files that end in %s itself", ext)
		}
	}
	if words := doorOf(folder, found); words != "" {
		return "; " + words
	}
	return ""
}

// explained adds to the error of a file what it is, where it is something else than its name says.
func explained(path string, err error) error {
	zipped := strings.EqualFold(filepath.Ext(path), ".npz") // which is a zip archive
	if k := filekind.At(path); k != nil && !k.Data && (k.Sure || !zipped) {
		return fmt.Errorf("%w; %s", err, k)
	}
	return err
}
