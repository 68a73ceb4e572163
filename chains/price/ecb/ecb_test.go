package ecb_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/chains/price"
	"tallyd/chains/price/ecb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// daily is the form of https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml,
// written from what is known of it; numbers are made up.
const daily = `<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
	<gesmes:subject>Reference rates</gesmes:subject>
	<gesmes:Sender>
		<gesmes:name>European Central Bank</gesmes:name>
	</gesmes:Sender>
	<Cube>
		<Cube time='2026-11-20'>
			<Cube currency='USD' rate='1.0812'/>
			<Cube currency='JPY' rate='163.45'/>
			<Cube currency='GBP' rate='0.83420'/>
			<Cube currency='XXX' rate='nonsense of money that has no name here'/>
		</Cube>
	</Cube>
</gesmes:Envelope>`

// open opens a source that is answered with a body.
func open(t *testing.T, answer http.HandlerFunc) *ecb.Source {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	names, err := price.LoadNames()
	require.NoError(t, err)
	client := server.Client()
	client.Timeout = 5 * time.Second
	source, err := ecb.New(client, server.URL+"/", names)
	require.NoError(t, err)
	return source
}

func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
}

func TestQuotes(t *testing.T) {
	t.Parallel()
	var path atomic.Value
	source := open(t, func(w http.ResponseWriter, r *http.Request) {
		path.Store(r.Method + " " + r.URL.Path)
		if strings.HasSuffix(r.URL.Path, "hist-90d.xml") {
			w.WriteHeader(http.StatusNotFound) // then the last day is better than nothing
			return
		}
		_, _ = w.Write([]byte(daily))
	})
	quotes, err := source.Quotes(t.Context())
	require.NoError(t, err)
	require.Equal(t, "GET /stats/eurofxref/eurofxref-daily.xml", path.Load())
	require.Len(t, quotes, 3)
	require.Equal(t, price.EUR, quotes[0].Base)
	require.Equal(t, price.USD, quotes[0].In)
	require.Equal(t, "1.0812", quotes[0].Rate.String())
	require.Equal(t, "0.8342", quotes[2].Rate.String())
	friday := time.Date(2026, 11, 20, 13, 15, 0, 0, time.UTC)
	for _, q := range quotes {
		require.Equal(t, friday, q.AsOf, "the day that the rates are of, and not the day they are read")
		require.True(t, q.Fixed)
		// Over a weekend, and from Thursday to Tuesday over Easter, they stand.
		require.True(t, q.Until.After(friday.AddDate(0, 0, 5).Add(2*time.Hour)))
		require.True(t, q.Until.Before(friday.AddDate(0, 0, 6)))
	}
	past := strings.Replace(daily, "</Cube>\n</gesmes", "<Cube time='2026-11-19'><Cube currency='USD' rate='1.08'/></Cube></Cube>\n</gesmes", 1)
	source = open(t, func(w http.ResponseWriter, r *http.Request) {
		path.Store(r.URL.Path)
		_, _ = w.Write([]byte(past))
	})
	for _, want := range []string{"/stats/eurofxref/eurofxref-hist-90d.xml", "/stats/eurofxref/eurofxref-daily.xml"} {
		quotes, err = source.Quotes(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, path.Load(), "the past is asked for once")
		require.Len(t, quotes, 4)
		require.Equal(t, friday.AddDate(0, 0, -1), quotes[3].AsOf)
	}
}

// What is not the document in full is no rate at all.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		says   string
	}{
		{name: "WebPage", answer: body("<!DOCTYPE html><html><head><title>Maintenance</title></head></html>"), says: "decode"},
		{name: "WellFormedPage", answer: body("<html><body>Maintenance</body></html>"), says: "decode"},
		{name: "HalfADocument", answer: body(daily[:len(daily)/2]), says: "decode"},
		{name: "HalfABody", says: "read the reference rates", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5000")
			_, _ = w.Write([]byte(daily))
		}},
		{name: "Nothing", answer: body(""), says: "decode"},
		{name: "NoRates", answer: body(`<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"><Cube/></gesmes:Envelope>`), says: "dollar"},
		{name: "NoDollar", answer: body(strings.Replace(daily, "USD", "SEK", 1)), says: "dollar"},
		{name: "Zero", answer: body(strings.Replace(daily, "1.0812", "0.0000", 1)), says: "not a rate"},
		{name: "Negative", answer: body(strings.Replace(daily, "1.0812", "-1.08", 1)), says: "not a rate"},
		{name: "Comma", answer: body(strings.Replace(daily, "1.0812", "1,0812", 1)), says: "not a rate"},
		{name: "AbsurdScale", answer: body(strings.Replace(daily, "1.0812", strings.Repeat("9", 60), 1)), says: "not a rate"},
		{name: "Missing", answer: body(strings.Replace(daily, " rate='1.0812'", "", 1)), says: "not a rate"},
		{name: "Twice", answer: body(strings.Replace(daily, "JPY", "USD", 1)), says: "twice"},
		{name: "NoDay", answer: body(strings.Replace(daily, "2026-11-20", "20.11.2026", 1)), says: "no day"},
		{name: "ADayToCome", answer: body(strings.Replace(daily, "2026-11-20", "2999-11-20", 1)), says: "to come"},
		{name: "TooLong", answer: body(daily + strings.Repeat(" ", 5<<20)), says: "more than"},
		{name: "Refused", says: "HTTP 403", answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }},
		{name: "Elsewhere", says: "HTTP 302", answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			quotes, err := open(t, tt.answer).Quotes(t.Context())
			require.Empty(t, quotes)
			require.ErrorContains(t, err, tt.says)
		})
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for base, good := range map[string]bool{
		"": true, "https://proxy.example": true, "http://127.0.0.1:1": true,
		"http://proxy.example": false, "ftp://proxy.example": false, "https://user:password@proxy.example": false, "https://proxy.example?a=b": false, "nonsense": false,
	} {
		_, err := ecb.New(http.DefaultClient, base, nil)
		require.Equal(t, good, err == nil, base)
	}
}
