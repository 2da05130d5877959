package test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fosite-mcp/config"

	"go.yaml.in/yaml/v3"
)

// commands are the commands of the program that deployment files may use.
var commands = []string{"serve", "migrate up", "migrate status", "client create"}

// instruction is one line of the Dockerfile, continuation lines joined.
type instruction struct{ name, arguments string }

func dockerfile(t *testing.T) []instruction {
	t.Helper()
	text := strings.ReplaceAll(readRepositoryFile(t, "Dockerfile"), "\\\n", " ")
	var instructions []instruction
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			name, arguments, _ := strings.Cut(line, " ")
			instructions = append(instructions, instruction{name, strings.TrimSpace(arguments)})
		}
	}
	return instructions
}

// arguments returns what the last build stage says in the instructions of that name.
func arguments(t *testing.T, name string) []string {
	t.Helper()
	var found []string
	for _, i := range dockerfile(t) {
		switch i.name {
		case "FROM":
			found = nil
			if name == "FROM" {
				found = append(found, i.arguments)
			}
		case name:
			found = append(found, i.arguments)
		}
	}
	return found
}

func readRepositoryFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

type composeFile struct {
	Services map[string]composeService
	Volumes  map[string]any
	Secrets  map[string]struct{ File string }
}

type composeService struct {
	Build       string
	Image       string
	Profiles    []string
	Ports       []string
	Environment map[string]string
	Secrets     []string
	Volumes     []string
	Command     []string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck struct{ Test []string }
}

func compose(t *testing.T) composeFile {
	t.Helper()
	var file composeFile
	if err := yaml.Unmarshal([]byte(readRepositoryFile(t, "docker-compose.yml")), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Services) == 0 {
		t.Fatal("docker-compose.yml has no services")
	}
	return file
}

func isSetting(variable string) bool {
	return slices.ContainsFunc(config.Keys(), func(k config.Key) bool {
		return variable == k.Variable() || variable == k.FileVariable()
	})
}

func TestTheDockerfileNamesFilesThatExist(t *testing.T) {
	ignored := strings.Fields(readRepositoryFile(t, ".dockerignore"))
	for _, i := range dockerfile(t) {
		fields := strings.Fields(i.arguments)
		switch {
		case i.name == "COPY" && !strings.HasPrefix(i.arguments, "--from="):
			for _, source := range fields[:len(fields)-1] {
				if _, err := os.Stat(filepath.Join("..", source)); err != nil {
					t.Errorf("COPY: %v", err)
				}
				if top, _, _ := strings.Cut(source, "/"); slices.Contains(ignored, top) {
					t.Errorf("COPY %s: .dockerignore leaves it out", source)
				}
			}
		case i.name == "RUN" && strings.Contains(i.arguments, "go build"):
			if _, err := os.Stat(filepath.Join("..", fields[len(fields)-1], "main.go")); err != nil {
				t.Errorf("go build: %v", err)
			}
		}
	}
	built := regexp.MustCompile(`-o (\S+)`).FindStringSubmatch(readRepositoryFile(t, "Dockerfile"))
	if built == nil || !slices.Contains(arguments(t, "COPY"), "--from=build "+built[1]+" /usr/local/bin/fosite-mcp") {
		t.Error("the last stage does not copy what the first one builds")
	}
}

func TestTheDockerfileBuildsWithTheGoOfTheModule(t *testing.T) {
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readRepositoryFile(t, "go.mod"))
	if first := dockerfile(t)[0]; version == nil || first.arguments != "golang:"+version[1]+" AS build" {
		t.Errorf("go.mod says %v, the Dockerfile says %s", version, first.arguments)
	}
}

func TestTheImageRunsTheServerAsNobodyInParticular(t *testing.T) {
	if user := arguments(t, "USER"); len(user) != 1 || !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user[0]) {
		t.Errorf("USER %v: want numbers that are not root", user)
	}
	if got := execForm(t, "ENTRYPOINT"); !slices.Equal(got, []string{"/usr/local/bin/fosite-mcp"}) {
		t.Errorf("ENTRYPOINT %v", got)
	}
	if got := strings.Join(execForm(t, "CMD"), " "); !slices.Contains(commands, got) {
		t.Errorf("CMD %s is no command of the program", got)
	}
	_, port, err := net.SplitHostPort(config.Default().Listen)
	if expose := arguments(t, "EXPOSE"); err != nil || !slices.Equal(expose, []string{port}) {
		t.Errorf("EXPOSE %v, the public listener is on %s", expose, port)
	}
	volume := arguments(t, "VOLUME")
	if got := imageEnvironment(t)["FOSITE_MCP_DATA_DIR"]; !slices.Equal(volume, []string{got}) {
		t.Errorf("data_dir is %s, the volume is %v", got, volume)
	}
	for variable := range imageEnvironment(t) {
		if !isSetting(variable) {
			t.Errorf("ENV %s is no setting", variable)
		}
	}
}

func execForm(t *testing.T, name string) []string {
	t.Helper()
	var words []string
	for _, text := range arguments(t, name) {
		if err := json.Unmarshal([]byte(text), &words); err != nil {
			t.Fatalf("%s %s: %v", name, text, err)
		}
	}
	return words
}

func imageEnvironment(t *testing.T) map[string]string {
	t.Helper()
	environment := make(map[string]string)
	for _, assignment := range arguments(t, "ENV") {
		name, value, _ := strings.Cut(assignment, "=")
		environment[name] = value
	}
	return environment
}

func TestTheHealthcheckAsksReadyz(t *testing.T) {
	if health := arguments(t, "HEALTHCHECK"); len(health) != 1 || !strings.HasSuffix(health[0], `CMD ["/usr/local/bin/healthcheck"]`) ||
		!slices.Contains(arguments(t, "COPY"), "scripts/healthcheck /usr/local/bin/healthcheck") {
		t.Errorf("HEALTHCHECK %v", health)
	}
	for status, healthy := range map[int]bool{http.StatusOK: true, http.StatusServiceUnavailable: false, http.StatusNotFound: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != "/readyz" {
				t.Errorf("asked for %s %s", r.Method, r.URL)
			}
			w.WriteHeader(status)
		}))
		_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
		if err := healthcheck(t, port); (err == nil) != healthy {
			t.Errorf("status %d: %v", status, err)
		}
		server.Close()
		if healthcheck(t, port) == nil {
			t.Error("healthy although nothing listens")
		}
	}
}

func healthcheck(t *testing.T, port string) error {
	t.Helper()
	check := exec.CommandContext(t.Context(), "../scripts/healthcheck")
	check.Env = append(os.Environ(), "FOSITE_MCP_LISTEN=0.0.0.0:"+port)
	return check.Run()
}

func TestComposePublishesToThisMachineOnly(t *testing.T) {
	published := make(map[string]string)
	for name, service := range compose(t).Services {
		for _, port := range service.Ports {
			parts := strings.Split(port, ":")
			if len(parts) != 3 || parts[0] != "127.0.0.1" {
				t.Errorf("%s publishes %s: want 127.0.0.1:PORT:PORT", name, port)
				continue
			}
			if other, taken := published[parts[1]]; taken {
				t.Errorf("%s and %s both publish %s", name, other, parts[1])
			}
			published[parts[1]] = name
			if !strings.HasSuffix(service.Environment["FOSITE_MCP_LISTEN"], ":"+parts[2]) &&
				!strings.HasSuffix(service.Environment["FOSITE_MCP_ADMIN_LISTEN"], ":"+parts[2]) {
				t.Errorf("%s publishes %s, where nothing listens", name, parts[2])
			}
			if strings.HasSuffix(service.Environment["FOSITE_MCP_LISTEN"], ":"+parts[2]) &&
				service.Environment["FOSITE_MCP_PUBLIC_URL"] != "http://127.0.0.1:"+parts[1] {
				t.Errorf("%s is reached on port %s, its public_url is %s", name, parts[1], service.Environment["FOSITE_MCP_PUBLIC_URL"])
			}
		}
	}
}

func TestComposeUsesWhatItDeclares(t *testing.T) {
	file := compose(t)
	for name, service := range file.Services {
		for _, volume := range service.Volumes {
			source, target, _ := strings.Cut(volume, ":")
			if _, declared := file.Volumes[source]; !declared {
				t.Errorf("%s: volume %s is not declared", name, source)
			}
			if service.Build != "" && target != imageEnvironment(t)["FOSITE_MCP_DATA_DIR"] {
				t.Errorf("%s: the data is not at %s", name, target)
			}
		}
		for _, secret := range service.Secrets {
			if _, declared := file.Secrets[secret]; !declared {
				t.Errorf("%s: secret %s is not declared", name, secret)
			}
		}
		for variable, value := range service.Environment {
			if strings.HasPrefix(variable, "FOSITE_MCP_") && !isSetting(variable) {
				t.Errorf("%s: %s is no setting", name, variable)
			}
			if secret, ok := strings.CutPrefix(value, "/run/secrets/"); ok && !slices.Contains(service.Secrets, secret) {
				t.Errorf("%s: %s is not among its secrets", name, value)
			}
		}
		for dependency, wait := range service.DependsOn {
			if on := file.Services[dependency]; len(on.Healthcheck.Test) == 0 || wait.Condition != "service_healthy" {
				t.Errorf("%s depends on %s, which says nothing of its health", name, dependency)
			}
		}
		if command := strings.Join(service.Command, " "); command != "" && !slices.Contains(commands, command) {
			t.Errorf("%s: %s is no command of the program", name, command)
		}
	}
	for _, used := range regexp.MustCompile(`server fosite-mcp (\w+ \w+)`).FindAllStringSubmatch(readRepositoryFile(t, "docker-compose.yml"), -1) {
		if !slices.Contains(commands, used[1]) {
			t.Errorf("%s is no command of the program", used[1])
		}
	}
}

// Every server of the compose file starts with a configuration that loads, secrets included.
func TestComposeConfiguresTheServers(t *testing.T) {
	secrets := filepath.Join(t.TempDir(), "secrets")
	if out, err := exec.CommandContext(t.Context(), "../scripts/compose-secrets", secrets).CombinedOutput(); err != nil {
		t.Fatalf("compose-secrets: %v\n%s", err, out)
	}
	file := compose(t)
	for name, secret := range file.Secrets {
		if _, err := os.Stat(filepath.Join(filepath.Dir(secrets), secret.File)); err != nil {
			t.Errorf("compose-secrets does not make %s: %v", name, err)
		}
	}
	servers := 0
	for name, service := range file.Services {
		if service.Build == "" {
			continue
		}
		servers++
		var environ []string
		for variable, value := range imageEnvironment(t) {
			environ = append(environ, variable+"="+value)
		}
		for variable, value := range service.Environment {
			environ = append(environ, variable+"="+strings.Replace(value, "/run/secrets", secrets, 1))
		}
		cfg, err := config.Load("", environ)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Contains(cfg.AllowedHosts, name) {
			t.Errorf("%s: other containers cannot reach it under its name: allowed_hosts is %q", name, cfg.AllowedHosts)
		}
		if cfg.Database.URL.IsPostgres() {
			checkDatabase(t, file, cfg.Database.URL, filepath.Join(secrets, "postgres_password"))
		}
	}
	if servers != 2 {
		t.Errorf("%d servers, want one on SQLite and one on PostgreSQL", servers)
	}
}

func checkDatabase(t *testing.T, file composeFile, database config.DatabaseURL, passwordFile string) {
	t.Helper()
	password, err := os.ReadFile(passwordFile)
	if err != nil {
		t.Fatal(err)
	}
	postgres := file.Services["postgres"].Environment
	want := "postgres://" + postgres["POSTGRES_USER"] + ":" + string(password) + "@postgres:5432/" + postgres["POSTGRES_DB"] + "?sslmode=disable"
	if database.Reveal() != want {
		t.Error("database_url does not fit the postgres service")
	}
}

func TestSecretsOfComposeAreClosedToOthersAndKept(t *testing.T) {
	secrets := filepath.Join(t.TempDir(), "secrets")
	var before, after []byte
	for _, content := range []*[]byte{&before, &after} {
		if out, err := exec.CommandContext(t.Context(), "../scripts/compose-secrets", secrets).CombinedOutput(); err != nil {
			t.Fatalf("compose-secrets: %v\n%s", err, out)
		}
		var err error
		if *content, err = os.ReadFile(filepath.Join(secrets, "system_secret")); err != nil {
			t.Fatal(err)
		}
	}
	if string(before) != string(after) || len(before) != 64 {
		t.Error("a second run changed the system secret, or it is too short")
	}
	info, err := os.Stat(secrets)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v (%v), want 0700", info.Mode(), err)
	}
}
