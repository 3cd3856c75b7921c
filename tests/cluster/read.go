package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/resource"
)

// answer is what kubectl makes of a file: the objects that it would send, and why it stopped.
type answer struct {
	File    string            `json:"file"`
	Objects []json.RawMessage `json:"objects"`
	Error   string            `json:"error,omitempty"`
}

// readFiles reads each file of a directory as `kubectl apply -f FILE` does, without a server, and
// prints a line of JSON for each.
func readFiles(directory string) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for _, entry := range entries {
		if err := out.Encode(readFile(filepath.Join(directory, entry.Name()))); err != nil {
			return err
		}
	}
	return nil
}

func readFile(path string) (read answer) {
	read = answer{File: filepath.Base(path), Objects: []json.RawMessage{}}
	defer func() {
		if panicked := recover(); panicked != nil {
			read.Error = fmt.Sprint(panicked)
		}
	}()
	result := resource.NewLocalBuilder().
		Unstructured().
		ContinueOnError().
		FilenameParam(false, &resource.FilenameOptions{Filenames: []string{path}}).
		Flatten().
		Do()
	err := result.Visit(func(info *resource.Info, err error) error {
		if err != nil {
			return err
		}
		object, err := runtime.Encode(unstructured.UnstructuredJSONScheme, info.Object)
		if err != nil {
			return err
		}
		read.Objects = append(read.Objects, bytes.TrimSpace(object))
		return nil
	})
	if err != nil {
		read.Error = err.Error()
	}
	return read
}
