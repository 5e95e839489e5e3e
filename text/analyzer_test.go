package text_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/text"
)

func terms(t testing.TB, analyzer, s string) []string {
	a, err := text.ByName(analyzer)
	require.NoError(t, err)
	out := []string{}
	a.Each([]byte(s), func(position int, term []byte) { out = append(out, fmt.Sprintf("%d %s", position, term)) })
	return out
}

func TestAnalyzers(t *testing.T) {
	long := strings.Repeat("x", 41)
	for _, c := range []struct {
		analyzer, text, want string // "position term" lists
	}{
		{text.Standard, "", ""},
		{text.Standard, " .,;! ", ""},
		{text.Standard, "Hello, World-wide 42nd!", "0 hello,1 world,2 wide,3 42nd"},
		{text.Standard, "don't", "0 don,1 t"},
		{text.Standard, "ÄPFEL Ünï", "0 äpfel,1 ünï"},
		{text.Standard, "cafe\u0301 x", "0 cafe\u0301,1 x"},
		{text.Standard, "a " + long + " b", "0 a,2 b"},
		{text.Standard, "a\xff\xfeb", "0 a,1 b"},
		{text.Standard, "", ""},
		{text.English, "The Lions were running over the hills, happily", "1 lion,2 were,3 run,4 over,6 hill,7 happili"},
		{text.English, "the of and", ""},
		{text.English, "generational generations", "0 generat,1 generat"},
		{text.Whitespace, "  Hello,\tWorld\n\u00a0x ", "0 Hello,,1 World,2 x"},
		{text.Whitespace, "one", "0 one"},
	} {
		want := []string{}
		if c.want != "" {
			for _, x := range strings.Split(strings.ReplaceAll(c.want, ",,", "\x00,"), ",") {
				want = append(want, strings.ReplaceAll(x, "\x00", ","))
			}
		}
		require.Equal(t, want, terms(t, c.analyzer, c.text), "%s: %q", c.analyzer, c.text)
	}
	require.Equal(t, terms(t, text.Standard, "A b"), terms(t, "", "A b"))
	_, err := text.ByName("klingon")
	require.EqualError(t, err, `no analyzer "klingon"; there are standard, english, whitespace`)
}

// Numbers are on disk: these never change.
func TestNumbers(t *testing.T) {
	for term, want := range map[string]uint32{"": 0x51d8e999, "lion": 0xc350206f, "ünï": 0x318f8bc9} {
		require.Equal(t, want, text.Number([]byte(term)), "%q", term)
	}
	a, err := text.ByName(text.English)
	require.NoError(t, err)
	counts := a.Counts([]byte("lions and tigers and a lion"), []text.Count{{Number: 7, Times: 7}})
	lion, tiger := text.Count{Number: text.Number([]byte("lion")), Times: 2}, text.Count{Number: text.Number([]byte("tiger")), Times: 1}
	if lion.Number > tiger.Number {
		lion, tiger = tiger, lion
	}
	require.Equal(t, []text.Count{{Number: 7, Times: 7}, lion, tiger}, counts)
}

func TestSideBySide(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				word := fmt.Sprintf("running%d jumps", (g+i)%7)
				if got := terms(t, text.English, word); len(got) != 2 || got[1] != "1 jump" {
					t.Errorf("%q: %v", word, got)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzAnalyzers(f *testing.F) {
	f.Add("The quick brown fox's \xff jumped")
	f.Fuzz(func(t *testing.T, s string) {
		for _, name := range []string{text.Standard, text.English, text.Whitespace} {
			a, err := text.ByName(name)
			require.NoError(t, err)
			last, n := -1, 0
			a.Each([]byte(s), func(position int, term []byte) {
				require.Greater(t, position, last)
				require.NotEmpty(t, term)
				last = position
				n++
			})
			total := 0
			for _, c := range a.Counts([]byte(s), nil) {
				total += int(c.Times)
			}
			require.Equal(t, n, total)
		}
	})
}
