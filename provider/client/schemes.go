package client

import (
	"slices"
	"strings"
)

// isDangerous tells whether a browser, a phone or a desktop acts on URIs of this scheme by itself, so that no
// application owns it: it runs or shows what is in the URI, opens a file or a setting, connects somewhere, calls or pays.
func isDangerous(scheme string) bool {
	return slices.Contains(dangerous, scheme) ||
		slices.ContainsFunc(dangerousFamilies, func(prefix string) bool { return strings.HasPrefix(scheme, prefix) })
}

// dangerousFamilies begin the schemes of vendors for parts of their own systems. Schemes with a plus sign (web+…,
// ext+…, git+ssh) are not of an application's own either, see plainScheme.
var dangerousFamilies = []string{
	"ms-", "microsoft", "windows", "bing", "xbox", // ms-msdt, ms-settings, microsoft-edge, microsoft.windows.camera
	"x-apple", "x-man", "x-radar", "x-safari", "x-web", "apple-", "app-prefs", "facetime", "itms", "itunes", "macappstore", "prefs",
	"android", "googlechrome", // android-app, android.resource, android_secret_code
	"chrome", "moz-", "safari-", "webkit", // chrome-extension, chrome-untrusted, moz-extension
	"java", "vbscript",
	"iris.", "soap.", "xmlrpc.", "z39.50", // protocols, not domain names turned around
}

var dangerous = []string{
	// What a browser runs, shows or looks up by itself.
	"about", "blob", "brave", "browserext", "cid", "content", "data", "devtools", "edge", "extension", "feed", "file", "filesystem",
	"firefox", "hxxp", "hxxps", "isolated-app", "jar", "jnlp", "jnlps", "livescript", "mhtml", "mid", "mk", "mocha", "moz", "opera", "res",
	"resource", "tag", "thismessage", "urn", "uuid", "view-source", "vivaldi", "wyciwyg",
	// What a desktop does by itself.
	"afp", "appdata", "appinstaller", "applescript", "apt", "appx", "calculator", "cifs", "cmd", "control", "hcp", "help", "ie", "info",
	"local", "man", "network", "onenote-cmd", "powershell", "search", "search-ms", "settings", "shell", "shortcuts", "smb", "terminal",
	"trash", "workflow",
	// What a phone does by itself.
	"app-settings", "calshow", "callto", "dpp", "fax", "fido", "geo", "imessage", "intent", "lpa", "mailto", "map", "maps", "market",
	"message", "mms", "mmsto", "modem", "nfc", "otpauth", "otpauth-migration", "package", "samsungapps", "sms", "smsto", "tel",
	"telprompt", "videos", "vnd", "voicemail", "wifi", "wtai",
	// Money.
	"bitcoin", "bitcoincash", "ethereum", "lightning", "litecoin", "monero", "payment", "payto", "taler", "upi", "web3",
	// Network protocols.
	"aaa", "aaas", "acap", "adb", "amqp", "amqps", "coap", "coaps", "cvs", "dat", "dav", "davs", "dict", "dns", "docker", "dweb", "ed2k",
	"finger", "fish", "ftp", "ftps", "git", "gopher", "gophers", "gs", "h323", "http", "https", "hyper", "iax", "icap", "imap", "imaps",
	"ipfs", "ipns", "ipp", "ipps", "irc", "irc6", "ircs", "jabber", "jdbc", "jms", "ldap", "ldapi", "ldaps", "magnet", "mongodb", "mqtt",
	"mqtts", "mysql", "netdoc", "news", "nfs", "nntp", "nntps", "npipe", "odbc", "pop", "pop3", "pop3s", "postgres", "postgresql",
	"quic-transport", "rdp", "redis", "rediss", "rlogin", "rmi", "rsync", "rtmfp", "rtmp", "rtmps", "rtsp", "rtsps", "rtspu", "s3", "scp",
	"sftp", "sip", "sips", "smtp", "smtps", "snews", "snmp", "ssh", "stun", "stuns", "svn", "tcp", "telnet", "tftp", "tn3270", "torrent",
	"turn", "turns", "udp", "unix", "unreal", "vnc", "wais", "webcal", "webcals", "webdav", "webdavs", "whois", "ws", "wss", "xmpp",
}
