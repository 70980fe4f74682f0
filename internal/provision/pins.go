package provision

import (
	"path/filepath"
	"slices"
)

// client is a package client that fetches pinned archives.
type client string

const (
	pip client = "pip"
	npm client = "npm"
)

// pin is one published archive and the one file in it that we want. Both are known by
// their SHA-256, so neither a changed package nor a broken download gets through.
type pin struct {
	lib          Library
	client       client
	name         string // the package's name
	version      string
	goos, goarch string
	tags         []string // pip: the platform tags under which the wheel is published
	archive      string   // SHA-256 of the archive
	member       string   // the library's path in the archive
	file         string   // SHA-256 of the library
}

// cached returns where the library lies in a cache folder.
func (p pin) cached(cache string) string {
	folder := p.name + "-" + p.version + "-" + p.goos + "-" + p.goarch
	return filepath.Join(cache, "lib", folder, filepath.Base(filepath.FromSlash(p.member)))
}

// pinsFor returns the pins of a library on a platform, the preferred client's first.
func pinsFor(lib Library, goos, goarch string) []pin {
	return slices.DeleteFunc(pins(), func(p pin) bool { return p.lib != lib || p.goos != goos || p.goarch != goarch })
}

// pins is the table of everything that Setup may fetch. There is no ONNX Runtime of
// release 1.24 or newer among the packages for macOS on Intel processors.
func pins() []pin {
	wheel := func(goos, goarch, tag, archive, member, file string) pin {
		return pin{ONNXRuntime, pip, "onnxruntime", "1.32.0", goos, goarch, []string{tag}, archive, "onnxruntime/capi/" + member, file}
	}
	const nodeArchive = "6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75" // one for all platforms
	node := func(goos, goarch, member, file string) pin {
		return pin{ONNXRuntime, npm, "onnxruntime-node", "1.30.0", goos, goarch, nil, nodeArchive, "package/bin/napi-v6/" + member, file}
	}
	blas := func(goos, goarch string, tags []string, archive, member, file string) pin {
		return pin{OpenBLAS, pip, "scipy-openblas32", "0.3.34.481.3", goos, goarch, tags, archive, "scipy_openblas32/lib/" + member, file}
	}
	return []pin{
		wheel(
			"linux", "amd64", "manylinux_2_28_x86_64", "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
			"libonnxruntime.so.1.32.0", "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f",
		),
		wheel(
			"linux", "arm64", "manylinux_2_28_aarch64", "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054",
			"libonnxruntime.so.1.32.0", "49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a",
		),
		wheel(
			"darwin", "arm64", "macosx_14_0_arm64", "d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e",
			"libonnxruntime.1.32.0.dylib", "fa585fabbea65b823b9a8f7e27d46aee3989d1be7e36b528203d3a1fd613aae7",
		),
		wheel(
			"windows", "amd64", "win_amd64", "efe7456952c243a05a53d5b8732953625144642c2f3989094277f6217f0c0c40",
			"onnxruntime.dll", "443c0065fcdba17618ddef05050308f4b471893c5c7da0337d6957c9073ad8a7",
		),
		wheel(
			"windows", "arm64", "win_arm64", "64d394c69d561af3efd4d4f49dcac8f11d0ce135a20701c16d53b74056cd4cf8",
			"onnxruntime.dll", "a5c1951a7d495fa0c22a0865fe36981fe67f9d5dc7ba3893c20fa7266dd1e994",
		),
		node("linux", "amd64", "linux/x64/libonnxruntime.so.1", "ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23"),
		node("linux", "arm64", "linux/arm64/libonnxruntime.so.1", "1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76"),
		node("darwin", "arm64", "darwin/arm64/libonnxruntime.1.30.0.dylib", "685d2be5dba1309c89d3a5324b7fd06a5c42f1a61bfea32d14c4cc28d072121d"),
		node("windows", "amd64", "win32/x64/onnxruntime.dll", "508c362f5673483dd3a086379c392795b2e42d10d5e6f3f90ebd7ac21c97af67"),
		node("windows", "arm64", "win32/arm64/onnxruntime.dll", "6c3a2abf5c6aca11c48a0d338a91af309f2266f25ce2e4084e6a87bbcb0fbfd0"),
		blas(
			"linux", "amd64", []string{"manylinux_2_28_x86_64", "manylinux_2_27_x86_64"},
			"0595f94cd58c1f8a0d90c975621f4587337a003916b1979e834ebdf2cb5d9504",
			"libscipy_openblas.so", "b396d74f12ab4319e6713b3287104d64245c76c60e5bd9eaeb4b447eda66a561",
		),
		blas(
			"linux", "arm64", []string{"manylinux_2_28_aarch64", "manylinux_2_27_aarch64"},
			"e085dddbc5b9aa130f83def515d31c440e69f387a90c7e63b154a5575b4466bc",
			"libscipy_openblas.so", "3530123bc482e51b554d3f282b35bc026e6b94c821472c740507f6417debe290",
		),
		blas(
			"darwin", "amd64", []string{"macosx_10_13_x86_64"}, "85d42ee10fd207ed6014273dcb9236ab1a65d21357f278b3aa0a78e8189665a8",
			"libscipy_openblas.dylib", "8238a536e5612d1f0983be5d4f848c77e140182f1567be8646fcdf7dcc64aeae",
		),
		blas(
			"darwin", "arm64", []string{"macosx_11_0_arm64"}, "813bb8101da2f64555c4a5e71c3714539d92b0b4f1841ec12b80d50e56cde46c",
			"libscipy_openblas.dylib", "ba6547900061e3f1acbbdec06192c5dc2726565871e7d9af245b4af9951af715",
		),
		blas(
			"windows", "amd64", []string{"win_amd64"}, "963e311354df08856c22aad17d77209448d2d8fc3bc4b3b1d87912828797cf13",
			"libscipy_openblas.dll", "009afd350d037a283b1c939398c8bd58c690bfdd9510523e5772fbd38c438037",
		),
		blas(
			"windows", "arm64", []string{"win_arm64"}, "64b1637b1c0495552351743e6f5d8bb50828aaea5821bb8d998927837256bda9",
			"scipy_openblas.dll", "3982f09d09633519bf2e953012f05f5b3f9f16b29429462d9d7cab92f387bb09",
		),
	}
}
