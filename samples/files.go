package samples

import (
	"os"
	slashpath "path"
	"path/filepath"
	"slices"
)

// Files lists the files that the samples at path are read from, as Open would read them,
// sorted, relative to path and with forward slashes: the images of a folder or all files of
// its test data sets. Where path itself is a file, the list is ".".
func Files(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{"."}, nil
	}
	sets, err := findTestData(path)
	if err != nil {
		return nil, err
	}
	if len(sets) == 0 {
		return findImages(path)
	}
	var files []string
	for _, set := range sets {
		rel, err := filepath.Rel(path, set)
		if err != nil {
			return nil, err
		}
		inside, err := walkFiles(set, func(string) bool { return true })
		if err != nil {
			return nil, err
		}
		for _, file := range inside {
			files = append(files, slashpath.Join(filepath.ToSlash(rel), file))
		}
	}
	slices.Sort(files)
	return files, nil
}
