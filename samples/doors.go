package samples

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// What models take of texts and of sound is made in Python, where the tokenizers are: the wheel's package has a door for each.

// texts and sounds are what the names of such files end in.
func texts() []string  { return []string{".txt", ".jsonl"} }
func sounds() []string { return []string{".wav", ".wave", ".mp3", ".flac", ".ogg", ".m4a"} }

// door is the command that makes samples of a file, or of the files in a folder, whose names end so; "" for all others.
func door(path, ext string) string {
	switch ext = strings.ToLower(ext); {
	case slices.Contains(texts(), ext):
		return fmt.Sprintf("a model takes tokens of texts; with the Python package of the wheel (docs/python.md), from a text a line:\n"+
			"  python -m onnx_compress.texts %s --tokenizer tokenizer.json --model MODEL.onnx -o calib.npz\n"+
			"and then --calib calib.npz", path)
	case slices.Contains(sounds(), ext):
		first := ""
		if ext != ".wav" && ext != ".wave" {
			first = "made WAV by ffmpeg or sox, and then "
		}
		return fmt.Sprintf("sound becomes samples of a model %swith the Python package of the wheel (docs/python.md):\n"+
			"  python -m onnx_compress.waves %s --model MODEL.onnx --rate 16000 -o calib.npz\n"+
			"and then --calib calib.npz", first, path)
	}
	return ""
}

// byDoor refuses a file that becomes samples elsewhere.
func byDoor(path string) error {
	if words := door(path, filepath.Ext(path)); words != "" {
		return fmt.Errorf("%s: %s", path, words)
	}
	return nil
}

// doorOf is the door for a folder, by how many of its files end in what; "" where there is none.
func doorOf(folder string, found map[string]int) string {
	for _, ext := range sounds() {
		if found[ext] > 0 {
			return door(folder, ext)
		}
	}
	for _, ext := range texts() {
		if found[ext] > 0 {
			return door(filepath.Join(folder, "TEXTS"+ext), ext)
		}
	}
	return ""
}
