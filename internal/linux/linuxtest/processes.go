package linuxtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Descendants returns a process and all below it, as far as they have not ended.
func Descendants(pid int) []int {
	pids := []int{pid}
	// A thread that ends meanwhile has no children any more.
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		b, _ := os.ReadFile(file)
		for _, word := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(word); err == nil {
				pids = append(pids, Descendants(child)...)
			}
		}
	}
	return pids
}
