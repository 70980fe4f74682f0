package samples

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// maxFolders bounds how many folders are looked into: links that fan out can make a few of them endlessly many.
const maxFolders = 100_000

// hidden tells whether a file is one that systems leave beside those of people, such as ._x.png, .DS_Store and Thumbs.db.
func hidden(name string) bool {
	return strings.HasPrefix(name, ".") || strings.EqualFold(name, "Thumbs.db")
}

// walkFiles lists the files under a folder that keep accepts by their names, relative to it, with slashes, sorted. Links to files and
// folders are followed, wherever they lead, since whoever names the folder wants what it shows; a link to a folder that it lies in
// itself is an error. Hidden files and folders are passed over.
func walkFiles(root string, keep func(name string) bool) ([]string, error) {
	w := walk{root: root, keep: keep, most: maxFolders}
	err := w.all()
	return w.files, err
}

type walk struct {
	root    string
	keep    func(string) bool
	most    int // folders
	folders int
	files   []string
}

func (w *walk) all() error {
	info, err := os.Stat(w.root)
	if err == nil {
		err = w.folder("", []os.FileInfo{info})
	}
	slices.Sort(w.files)
	return err
}

// folder lists one folder; around are those that it lies in, with itself last.
func (w *walk) folder(rel string, around []os.FileInfo) error {
	if w.folders++; w.folders > w.most {
		return fmt.Errorf("%s: links lead to more than %d folders in it; name a folder with fewer", w.root, w.most)
	}
	entries, err := os.ReadDir(w.path(rel))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, at := e.Name(), path.Join(rel, e.Name())
		isLink := e.Type()&os.ModeSymlink != 0
		if hidden(name) || !e.IsDir() && !isLink && !w.keep(name) {
			continue
		}
		if !e.IsDir() && !isLink {
			w.files = append(w.files, at)
			continue
		}
		info, err := os.Stat(w.path(at))
		switch {
		case err == nil && info.IsDir():
			if slices.ContainsFunc(around, func(a os.FileInfo) bool { return os.SameFile(a, info) }) {
				return fmt.Errorf("%s is a link to a folder that it lies in itself; remove it", w.path(at))
			}
			if err := w.folder(at, append(slices.Clip(around), info)); err != nil {
				return err
			}
		case w.keep(name):
			w.files = append(w.files, at) // whoever reads it finds out what is wrong with a broken link
		}
	}
	return nil
}

func (w *walk) path(rel string) string { return filepath.Join(w.root, filepath.FromSlash(rel)) }
