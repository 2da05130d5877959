package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"fosite-mcp/cmd/internal/authserver"
	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/cmd/internal/privatefile"
)

// checkFiles looks at who may read and change what lies in data_dir.
func checkFiles(_ context.Context, e *examination) (findings []Finding) {
	folder := e.Config.DataDir
	if err := authserver.CheckDataDir(e.Config); err != nil {
		findings = append(findings, problem("run the command that it names; the server does not start before", "%v", err)...)
	}
	if authserver.WritableFolder(folder) {
		findings = append(findings, warning("chmod o-w "+privatefile.ShellWord(folder), "every user of this machine may replace files in %s", folder)...)
	}
	private := append([]string{filepath.Join(folder, "system.secret"), filepath.Join(folder, "admin.key")}, database.Files(e.Config)...)
	for _, path := range append(private, e.Config.TLS.KeyFile) {
		info, err := os.Stat(path)
		if err != nil {
			continue // what must be there has a check of its own
		}
		findings = append(findings, e.checkMode(path, info, path == e.Config.TLS.KeyFile)...)
		if slices.Contains(database.Files(e.Config), path) {
			findings = append(findings, checkWritable(path, info)...)
		}
		findings = append(findings, checkOwner(path, info)...)
	}
	if info, err := os.Stat(folder); err == nil {
		findings = append(findings, checkOwner(folder, info)...)
		if len(database.Files(e.Config)) > 0 {
			findings = append(findings, checkWritable(folder, info)...)
		}
	}
	if len(findings) == 0 {
		return ok("nobody but their owner may read or change the files in %s", folder)
	}
	return findings
}

// checkMode warns of a file that the group may use, and of a TLS key that everybody may read.
func (e *examination) checkMode(path string, info fs.FileInfo, isTLS bool) []Finding {
	mode := info.Mode().Perm()
	switch command := "chmod 0600 " + privatefile.ShellWord(path); {
	case runtime.GOOS == "windows":
	case isTLS && mode&0o006 != 0:
		return warning(command, "every user of this machine may read or change the TLS key %s (mode %04o)", path, mode)
	case mode&0o060 != 0 && mode&0o006 == 0:
		return warning(command+", unless the server shares the file by its group", "the group of %s may read or change it (mode %04o)", path, mode)
	}
	return nil
}

// checkWritable is about a SQLite file, and the folder in which SQLite makes others, of this user: of those of somebody else's
// checkOwner warns.
func checkWritable(path string, info fs.FileInfo) []Finding {
	if owner, known := ownerOf(info); !known || owner != os.Geteuid() || mayWrite(path) {
		return nil
	}
	return problem("chmod u+w "+privatefile.ShellWord(path)+", or mount its file system for writing; the server does not start before",
		"nothing can be written to %s, which the database needs (mode %04o)", path, info.Mode().Perm())
}

// checkOwner warns of a file of somebody else's: the server may run as one of the two only.
func checkOwner(path string, info fs.FileInfo) []Finding {
	owner, known := ownerOf(info)
	if !known || owner == os.Geteuid() {
		return nil
	}
	if os.Geteuid() == 0 {
		folder, err := os.Stat(filepath.Dir(path))
		if err != nil {
			return nil
		}
		if of, _ := ownerOf(folder); of == owner || of == 0 {
			return nil
		}
	}
	return warning("run this as the user of the server; if you do, chown the file to that user",
		"%s belongs to user %d, and this runs as user %d", path, owner, os.Geteuid())
}

// checkTLS looks at the certificate that the server would serve.
func checkTLS(_ context.Context, e *examination) []Finding {
	certificate, err := authserver.Certificate(e.Config.TLS)
	if err != nil {
		return problem("give the server a certificate and its key in PEM, which it can read", "%v", err)
	}
	if certificate == nil {
		return ok("the server serves no TLS itself (tls.cert_file is not set)")
	}
	if host := hostOf(e.Config.PublicURL); !e.Config.BehindProxy && certificate.VerifyHostname(host) != nil {
		return problem("take a certificate for this name", "the certificate %s is not for %s, the host of public_url", e.Config.TLS.CertFile, host)
	}
	if bad := e.checkEnd(certificate.NotAfter, fmt.Sprintf("the certificate %s", e.Config.TLS.CertFile)); bad != nil {
		return bad
	}
	return ok("certificate and key belong together; the certificate ends on %s", day(certificate.NotAfter))
}
