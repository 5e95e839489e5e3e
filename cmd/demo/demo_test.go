package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// asDemo is the environment variable that makes the test binary the demo.
const asDemo = "SELKIE_DEMO_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asDemo) != "" {
		main()
	}
	os.Exit(m.Run())
}

// demo runs the demo with its output in pipes, in a temporary folder of its own.
func demo(t *testing.T, args ...string) (temp, stdout, stderr string, err error) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	temp = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+temp, "TMP="+temp, "TEMP="+temp, asDemo+"=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return temp, out.String(), errs.String(), err
}

func TestDemo(t *testing.T) {
	temp, stdout, stderr, err := demo(t, "-rows", "6000")
	require.NoError(t, err, "%s%s", stdout, stderr)
	require.Empty(t, stderr)
	require.NotContains(t, stdout, "\x1b", "control codes on what is no terminal")
	require.NotContains(t, stdout, "\r")
	for _, line := range []string{
		`flushed in \S+ +NumEntities -> 5`,
		`  \S+ +sealed +\d+ +\S+ [KM]iB  █+`,
		`flushed the last \d+ in \S+: NumEntities -> 6000`,
		`  king     .*queen 0\.\d\d`,
		`killed it; it had acknowledged \d+ rows`,
		`found \d+ rows: \d+ acknowledged, (0|20) of the insert that was under way`,
		`All is as it should be\.`,
	} {
		require.Regexp(t, regexp.MustCompile(`(?m)^`+line), stdout)
	}
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left, "the temporary store is not removed")
}

func TestDemoKeepsItsStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	_, stdout, stderr, err := demo(t, "-rows", "300", "-dir", dir)
	require.NoError(t, err, "%s%s", stdout, stderr)
	require.DirExists(t, dir)

	_, _, stderr, err = demo(t, "-rows", "300", "-dir", dir)
	require.Error(t, err, "a store that is there already is not touched")
	require.Contains(t, stderr, "the folder is not empty")
}

func TestDemoRefusesBadFlags(t *testing.T) {
	for _, args := range [][]string{{"-rows", "0"}, {"-rows", "20001"}, {"more"}} {
		_, stdout, stderr, err := demo(t, args...)
		require.Error(t, err, "%q", args)
		require.Empty(t, stdout)
		require.Equal(t, 1, strings.Count(stderr, "\n"), "%q: one clear line, not %q", args, stderr)
	}
}
