// Package filekind tells what a file is that is not what was wanted: what stands in place of a file that was never
// fetched, an archive around it, or another format of models and data.
package filekind

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"unicode/utf8"
)

// Kind is what a file was found to be, and what to do about it.
type Kind struct {
	What string // such as "a gzip archive"
	Do   string // such as "unpack it first"
	// Sure says that nothing else begins like this, so that no other reading of the file need be tried.
	Sure bool
	// Data says that samples may be of this kind.
	Data bool
}

// String says both.
func (k *Kind) String() string { return "it is " + k.What + ": " + k.Do }

// HeadSize is how many bytes of a file Of looks at.
const HeadSize = 1024

// Of tells what begins with head, the first HeadSize bytes of a file or all of a shorter one; nil where that is not known.
func Of(head []byte) *Kind {
	head = head[:min(len(head), HeadSize)]
	if k := ofText(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")); k != nil {
		return k
	}
	has := func(at int, magic string) bool { return len(head) >= at && bytes.HasPrefix(head[at:], []byte(magic)) }
	if has(0, "PK\x03\x04") && (bytes.Contains(head, []byte("data.pkl")) || bytes.Contains(head, []byte("/byteorder"))) {
		return &Kind{What: "a file of PyTorch", Do: export}
	}
	for _, m := range magics() {
		if has(m.at, m.magic) && has(m.at2, m.magic2) {
			return &Kind{What: m.what, Do: m.do, Data: m.do == samples}
		}
	}
	if len(head) > 0 && isText(head) {
		return &Kind{What: "a text", Do: "models are binary files, and numbers are read from what numpy.save makes of them", Data: true}
	}
	return nil
}

// ofText tells what is known by words at the start of a text.
func ofText(text []byte) *Kind {
	begins := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return len(text) >= len(w) && bytes.EqualFold(text[:len(w)], []byte(w)) })
	}
	has := func(word string) bool { return bytes.Contains(text, []byte(word)) }
	const again = "download it again, by the address of the file itself"
	switch {
	case begins("version https://git-lfs.github.com/spec/", "version https://hawser.github.com/spec/", "version http://git-media.io/v/"):
		return &Kind{What: "a pointer of git-lfs, which stands for a file that was not fetched", Do: "run `git lfs pull` in its repository", Sure: true}
	case begins("/annex/objects/"):
		return &Kind{What: "a pointer of git-annex, which stands for a file that was not fetched", Do: "run `git annex get` on it", Sure: true}
	case begins("outs:") && has("md5:"):
		return &Kind{What: "a pointer of DVC", Do: "run `dvc pull`, and name the file that it stands for", Sure: true}
	case begins("<!doctype html", "<html"):
		return &Kind{What: "a web page, as servers send in place of a file", Do: again, Sure: true}
	case begins("<?xml") && has("<Error>"):
		return &Kind{What: "an error that a server sent in place of a file", Do: again, Sure: true}
	case begins("<?xml"):
		return &Kind{What: "an XML file", Do: "if it is a model of OpenVINO, take the ONNX model that it was made from", Sure: true}
	case begins("{", "[") && isText(text):
		return &Kind{What: "a text such as JSON", Do: "if a server sent it in place of a file, " + again}
	}
	return nil
}

const (
	unpack  = "unpack it first"
	export  = "export the model to ONNX, with torch.onnx.export"
	origin  = "take the model that it was made from, and export that to ONNX"
	convert = "convert it to PNG, JPEG or WebP"
	samples = "it holds samples, and is no model"
)

// magic is what a kind of file has at one or two places.
type magic struct {
	at     int
	magic  string
	at2    int
	magic2 string
	what   string
	do     string
}

func magics() []magic {
	return []magic{
		{0, "PK\x03\x04", 0, "", "a zip archive", unpack},
		{0, "PK\x05\x06", 0, "", "an empty zip archive", "make it anew"},
		{0, "\x1f\x8b", 0, "", "compressed by gzip", unpack},
		{0, "\x28\xb5\x2f\xfd", 0, "", "compressed by zstd", unpack},
		{0, "BZh", 0, "", "compressed by bzip2", unpack},
		{0, "\xfd7zXZ\x00", 0, "", "compressed by xz", unpack},
		{0, "7z\xbc\xaf\x27\x1c", 0, "", "a 7z archive", unpack},
		{257, "ustar", 0, "", "a tar archive", unpack},
		{0, "\x80\x02", 0, "", "a pickle of Python", export + ", or save arrays with numpy.save"},
		{0, "\x80\x04\x95", 0, "", "a pickle of Python", export + ", or save arrays with numpy.save"},
		{4, "TFL3", 0, "", "a model of TensorFlow Lite", "convert it with tf2onnx"},
		{4, "ORTM", 0, "", "a model in ONNX Runtime's own format", "take the .onnx file that it was made from"},
		{8, "{\"", 4, "\x00\x00\x00\x00", "a file of safetensors, which has weights and no graph", export},
		{0, "GGUF", 0, "", "a model in GGUF", origin},
		{0, "\x89HDF\r\n\x1a\n", 0, "", "a file of HDF5, such as a model of Keras", "export a model with tf2onnx, save arrays with numpy.save"},
		{0, "\x93NUMPY", 0, "", "an array of NumPy", samples},
		{0, "\x89PNG\r\n\x1a\n", 0, "", "a PNG image", samples},
		{0, "\xff\xd8\xff", 0, "", "a JPEG image", samples},
		{0, "RIFF", 8, "WEBP", "a WebP image", samples},
		{4, "ftypavif", 0, "", "an AVIF image", convert},
		{4, "ftyphe", 0, "", "a HEIF image", convert},
		{4, "ftypmif1", 0, "", "a HEIF image", convert},
		{0, "GIF8", 0, "", "a GIF image", convert},
		{0, "II*\x00", 0, "", "a TIFF image", convert},
		{0, "MM\x00*", 0, "", "a TIFF image", convert},
		{0, "BM", 6, "\x00\x00\x00\x00", "a BMP image", convert},
		{0, "\x00\x05\x16\x07", 0, "", "what macOS keeps beside another file", "name that file, without the ._ in front"},
		{0, "PAR1", 0, "", "a file of Parquet", "save what is in it with numpy.save, or as images"},
	}
}

// isText tells whether the bytes are text, whose last letter may be cut off.
func isText(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && len(b) >= utf8.UTFMax || r < ' ' && r != '\n' && r != '\r' && r != '\t' {
			return false
		}
		b = b[n:]
	}
	return true
}

// At is Of for the file at path; nil also where that cannot be read.
func At(path string) *Kind {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	head := make([]byte, HeadSize)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return Of(head[:n])
}
