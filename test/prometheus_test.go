package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const prometheusPages = "../docs/deploy/prometheus"

// The rules are valid, each alert fires in a test that causes its condition, and every query of rules and dashboard gets data from a
// server that Prometheus scrapes with the configuration of docs/deploy.
func TestPrometheusAlertsAndDashboard(t *testing.T) {
	t.Parallel()
	prometheus := debianProgram(t, "usr/bin/prometheus", "prometheus")
	tool := func(input io.Reader, arguments ...string) {
		t.Helper()
		command := exec.Command(filepath.Join(filepath.Dir(prometheus), "promtool"), arguments...)
		command.Dir, command.Stdin = prometheusPages, input
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, output)
		}
	}
	tool(nil, "check", "config", "prometheus.yml") // and the rules that it names
	tool(nil, "test", "rules", "alerts_test.yml")
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(readRepositoryFile(t, "docs/deploy/prometheus/alerts.yml")), &rules); err != nil {
		t.Fatal(err)
	}
	tests := readRepositoryFile(t, "docs/deploy/prometheus/alerts_test.yml")
	for _, rule := range rules.Groups[0].Rules {
		if !strings.Contains(tests, "alertname: "+rule.Alert+"\n") {
			t.Errorf("no test causes the alert %s", rule.Alert)
		}
	}

	s := startServer(t, binaries)
	id, secret := s.register(map[string]any{"client_name": "ci"})
	if !s.active(id, secret, s.token(id, secret)) {
		t.Error("a new token is inactive")
	}
	metrics := body(t, "http://"+s.admin+"/metrics")
	tool(bytes.NewReader(metrics), "check", "metrics")

	api := scrape(t, prometheus, s.admin)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readRepositoryFile(t, "docs/deploy/prometheus/grafana.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			awaitSeries(t, api, panel.Title, target.Expr)
		}
	}
	// An alert that does not fire has no data: its metrics have.
	name := regexp.MustCompile(`\b(?:fosite_mcp|go_sql)_\w+|\bup\b`)
	for _, rule := range rules.Groups[0].Rules {
		for _, metric := range name.FindAllString(rule.Expr, -1) {
			awaitSeries(t, api, rule.Alert, metric)
		}
	}
}

// scrape starts Prometheus on the admin listener at target, and returns the address of its API.
func scrape(t *testing.T, program, target string) string {
	t.Helper()
	folder, address, log := t.TempDir(), freeAddress(t), new(lockedBuffer)
	settings := readRepositoryFile(t, "docs/deploy/prometheus/prometheus.yml")
	for old, now := range map[string]string{"127.0.0.1:8081": target, "15s": "500ms"} {
		if !strings.Contains(settings, old) {
			t.Fatalf("prometheus.yml has no %s", old)
		}
		settings = strings.ReplaceAll(settings, old, now)
	}
	writeFile(t, filepath.Join(folder, "prometheus.yml"), settings)
	writeFile(t, filepath.Join(folder, "alerts.yml"), readRepositoryFile(t, "docs/deploy/prometheus/alerts.yml"))
	command := exec.Command(program, "--config.file="+folder+"/prometheus.yml", "--storage.tsdb.path="+folder+"/data", "--web.listen-address="+address)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
	})
	waitFor(t, "http://"+address+"/-/ready", log)
	return "http://" + address + "/api/v1/query?query="
}

// awaitSeries waits until a query returns data.
func awaitSeries(t *testing.T, api, what, query string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		var answer struct {
			Status, Error string
			Data          struct{ Result []json.RawMessage }
		}
		if err := json.Unmarshal(body(t, api+url.QueryEscape(query)), &answer); err != nil {
			t.Fatal(err)
		}
		if len(answer.Data.Result) > 0 {
			return
		}
		if answer.Status != "success" || time.Now().After(deadline) {
			t.Errorf("%s: no data for %s: %s", what, query, fmt.Sprint(answer.Status, " ", answer.Error))
			return
		}
	}
}

// body is the answer to a GET, whatever its status.
func body(t *testing.T, address string) []byte {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
