package test

import (
	"crypto/rand"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fosite-mcp/config"

	"go.yaml.in/yaml/v3"
)

// requestsMayTake is how long requests that are under way get after the drain.
const requestsMayTake = 20 * time.Second

// manifest is what the tests read of an object in docs/deploy/kubernetes.yaml.
type manifest struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Data     map[string]string
	Spec     struct {
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     podSpec
		}
		Selector    yaml.Node // a Service has labels alone
		PodSelector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		} `yaml:"podSelector"`
		Ports []struct {
			TargetPort string `yaml:"targetPort"`
		}
		Ingress []struct{ Ports []struct{ Port int } }
		Rules   []struct {
			Host string
			HTTP struct{ Paths []struct{ Path string } }
		}
	}
}

type podSpec struct {
	Grace      int `yaml:"terminationGracePeriodSeconds"`
	Containers []struct {
		Args  []string
		Env   []struct{ Name, Value string }
		Ports []struct {
			Name string
			Port int `yaml:"containerPort"`
		}
		Startup   probe `yaml:"startupProbe"`
		Liveness  probe `yaml:"livenessProbe"`
		Readiness probe `yaml:"readinessProbe"`
	}
	Volumes []struct {
		Secret struct {
			Name string `yaml:"secretName"`
		}
	}
}

type probe struct {
	HTTP struct{ Path, Port string } `yaml:"httpGet"`
}

// manifests are the objects by kind.
func manifests(t *testing.T) map[string]manifest {
	t.Helper()
	objects := map[string]manifest{}
	for decoder := yaml.NewDecoder(strings.NewReader(readRepositoryFile(t, "docs/deploy/kubernetes.yaml"))); ; {
		var m manifest
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatal(err)
		}
		if _, twice := objects[m.Kind]; twice || m.Metadata.Name == "" || m.Metadata.Namespace != "fosite-mcp" {
			t.Errorf("%s %v: want one of each kind, with a name, in one namespace", m.Kind, m.Metadata)
		}
		objects[m.Kind] = m
	}
}

// settingsOf are those of the first container, with secrets that fit.
func settingsOf(t *testing.T, objects map[string]manifest, kind string) config.Config {
	t.Helper()
	folder := t.TempDir()
	var environ []string
	for name, value := range objects["ConfigMap"].Data {
		environ = append(environ, name+"="+value)
	}
	for _, variable := range objects[kind].Spec.Template.Spec.Containers[0].Env {
		secret := filepath.Join(folder, filepath.Base(variable.Value))
		text := rand.Text() + rand.Text()
		if strings.Contains(secret, "database_url") {
			text = "postgres://app@db/app"
		}
		writeFile(t, secret, text)
		environ = append(environ, variable.Name+"="+secret)
	}
	for _, entry := range environ {
		if name, _, _ := strings.Cut(entry, "="); !isSetting(name) {
			t.Errorf("%s: %s is no setting", kind, name)
		}
	}
	cfg, err := config.Load("", environ)
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	return cfg
}

// The pages of docs/deploy fit the program: its paths, its ports, its settings and the time that it takes to stop.
func TestKubernetesRunsTheServerAsItIs(t *testing.T) {
	objects := manifests(t)
	pod := objects["Deployment"].Spec.Template.Spec
	server, cfg := pod.Containers[0], settingsOf(t, objects, "Deployment")
	if !cfg.Database.URL.IsPostgres() || !cfg.BehindProxy || cfg.SystemSecret == "" || cfg.Admin.Key == "" || !strings.HasPrefix(cfg.Admin.Listen, "127.0.0.1:") {
		t.Error("replicas need a database, secrets and a proxy in common, and the admin API stays inside")
	}
	for _, kind := range []string{"Deployment", "Job"} {
		if args := strings.Join(objects[kind].Spec.Template.Spec.Containers[0].Args, " "); !slices.Contains(commands, args) {
			t.Errorf("%s: %q is no command of the program", kind, args)
		}
	}
	if owner := settingsOf(t, objects, "Job"); !owner.Database.URL.IsPostgres() {
		t.Error("the Job migrates another database")
	}
	if len(server.Ports) != 1 || !strings.HasSuffix(cfg.Listen, ":"+strconv.Itoa(server.Ports[0].Port)) {
		t.Errorf("the server listens on %s, the container says %v", cfg.Listen, server.Ports)
	}
	for name, probes := range map[string]struct {
		probe probe
		path  string
	}{"startup": {server.Startup, "/livez"}, "liveness": {server.Liveness, "/livez"}, "readiness": {server.Readiness, "/readyz"}} {
		if probes.probe.HTTP.Path != probes.path || probes.probe.HTTP.Port != server.Ports[0].Name {
			t.Errorf("the %s probe asks %v", name, probes.probe.HTTP)
		}
	}
	if grace := time.Duration(pod.Grace) * time.Second; grace < cfg.Shutdown.Drain+requestsMayTake {
		t.Errorf("the pod has %s to stop, and the server takes up to %s", grace, cfg.Shutdown.Drain+requestsMayTake)
	}
	labels := objects["Deployment"].Spec.Template.Metadata.Labels
	if policy := objects["NetworkPolicy"].Spec; policy.PodSelector.MatchLabels["app"] != labels["app"] || policy.Ingress[0].Ports[0].Port != server.Ports[0].Port {
		t.Error("the NetworkPolicy is about other pods, or another port")
	}
	var budget struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	var service map[string]string
	disruptions, services := objects["PodDisruptionBudget"].Spec.Selector, objects["Service"].Spec.Selector
	if err := errors.Join(disruptions.Decode(&budget), services.Decode(&service)); err != nil || budget.MatchLabels["app"] != labels["app"] || service["app"] != labels["app"] {
		t.Errorf("the PodDisruptionBudget or the Service is about other pods: %v", err)
	}
	if ports := objects["Service"].Spec.Ports; ports[0].TargetPort != server.Ports[0].Name {
		t.Errorf("the Service leads to %v", ports)
	}
}

// The Ingress lets through what clients and people need, and not what checks tokens for proxies.
func TestIngressNamesTheEndpoints(t *testing.T) {
	objects := manifests(t)
	cfg, rule := settingsOf(t, objects, "Deployment"), objects["Ingress"].Spec.Rules[0]
	if "https://"+rule.Host != cfg.PublicURL {
		t.Errorf("the Ingress is for %s, public_url is %s", rule.Host, cfg.PublicURL)
	}
	var paths []string
	for _, path := range rule.HTTP.Paths {
		paths = append(paths, strings.TrimPrefix(path.Path, cfg.BasePath+"/"))
	}
	for _, endpoint := range []string{"token", "authorize", "introspect", "revoke", "revocations", "register", "jwks.json", "login", "consent", "logout", "grants", "/.well-known"} {
		if !slices.Contains(paths, endpoint) {
			t.Errorf("%s is missing", endpoint)
		}
	}
	if slices.Contains(paths, "verify") || slices.Contains(paths, cfg.BasePath) {
		t.Error("verify can be reached from outside")
	}
}

func TestTheSystemdUnitRunsTheServer(t *testing.T) {
	unit := readRepositoryFile(t, "docs/deploy/fosite-mcp.service")
	value := func(name string) string {
		t.Helper()
		found := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindStringSubmatch(unit)
		if found == nil {
			t.Fatalf("the unit has no %s=", name)
		}
		return found[1]
	}
	program, arguments, _ := strings.Cut(value("ExecStart"), " ")
	if command, _, _ := strings.Cut(arguments, " "); !slices.Contains(commands, command) {
		t.Errorf("ExecStart: %s is no command of the program", command)
	}
	for _, variable := range regexp.MustCompile(`(?m)^Environment=(\w+)=`).FindAllStringSubmatch(unit, -1) {
		if !isSetting(variable[1]) {
			t.Errorf("%s is no setting", variable[1])
		}
	}
	behindProxy, err := config.Load("", []string{"FOSITE_MCP_BEHIND_PROXY=true"})
	if err != nil {
		t.Fatal(err)
	}
	if limit, err := time.ParseDuration(value("TimeoutStopSec") + "s"); err != nil || limit < behindProxy.Shutdown.Drain+requestsMayTake {
		t.Errorf("TimeoutStopSec is %s, and the server takes up to %s", limit, behindProxy.Shutdown.Drain+requestsMayTake)
	}
	if value("KillMode") != "mixed" {
		t.Error("the process for slow hashes would end before the server has drained")
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return
	}
	file := filepath.Join(t.TempDir(), "fosite-mcp.service")
	writeFile(t, file, strings.Replace(unit, program, "/bin/sh", 1)) // which exists
	if output, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || strings.Contains(string(output), "fosite-mcp.service:") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, output)
	}
}
