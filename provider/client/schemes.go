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

// dangerous has no scheme of an editor or another MCP client (cursor, vscode, windsurf, claude, zed, goose, raycast, warp,
// jetbrains), which takes answers there.
var dangerous = []string{
	// What a browser runs, shows or looks up by itself.
	"about", "blob", "browserext", "cid", "content", "data", "devtools", "extension", "feed", "file", "filesystem",
	"hxxp", "hxxps", "isolated-app", "jar", "jnlp", "jnlps", "livescript", "mhtml", "mid", "mk", "mocha", "moz", "res",
	"resource", "tag", "thismessage", "urn", "uuid", "view-source", "wyciwyg",
	// Browsers: they open what is in the URI.
	"arc", "brave", "chromium", "duckduckgo", "edge", "epiphany", "firefox", "firefox-focus", "google-chrome",
	"librewolf", "opera", "opera-gx", "opera-http", "opera-https", "opera-mini", "safari", "samsunginternet", "tor",
	"tor-browser", "torbrowser", "touch-http", "touch-https", "vivaldi", "waterfox",
	// Parts of a desktop or a phone: settings, searches, help, scripts, other systems inside.
	"app-settings", "appdata", "applescript", "automator", "calculator", "calshow", "cmd", "contacts", "control",
	"cros", "crosh", "dpp", "fido", "ghelp", "gnome-extensions", "gnome-settings", "gnome-shell", "hcp", "help", "ie",
	"info", "intent", "kcm", "khelpcenter", "local", "lpa", "man", "map", "maps", "message", "nfc", "onenote-cmd",
	"powershell", "search", "search-ms", "settings", "shell", "shortcut", "shortcuts", "spotlight", "systempreferences",
	"systemsettings", "videos", "vnd", "voicememos", "wifi", "workflow", "wsl", "yelp",
	// Places in a file manager (GVfs, KIO, Finder), and archives: opening one mounts it.
	"7z", "admin", "afc", "afp", "applications", "archive", "baloosearch", "bluetooth", "bookmarks", "burn", "camera",
	"cdda", "cifs", "computer", "dav", "davs", "desktop", "dnssd", "documents", "favorites", "favourites",
	"filenamesearch", "fish", "floppy", "fonts", "gdrive", "google-drive", "google-photos", "gphoto", "gphoto2", "ipod",
	"iso", "kdeconnect", "mtp", "network", "obex", "obexftp", "obexpush", "onedrive", "ptp", "rar", "recent",
	"recentdocuments", "recently-used", "recentlyused", "sftp", "smb", "smb-share", "ssh", "starred", "tar",
	"thumbnail", "timeline", "trash", "udisks", "usb", "volume", "x-nautilus-desktop", "x-nautilus-search", "zeroconf",
	"zip",
	// Stores and installers.
	"altstore", "apk", "appimage", "appinstaller", "appmarket", "appstore", "appstream", "appx", "apt", "apt-get",
	"aptonic", "apturl", "battlenet", "cydia", "deb", "discover", "dnf", "epic", "epicgames", "fdroid", "fdroidrepo",
	"fdroidrepos", "flathub", "flatpak", "flatpak-https", "gnome-software", "gog", "heroic", "homebrew", "itch",
	"lutris", "market", "mimarket", "minecraft", "msix", "msixbundle", "obtainium", "origin", "origin2", "package",
	"package-installer", "packagekit", "pacman", "pkg", "roblox", "roblox-player", "roblox-studio", "rpm",
	"samsungapps", "sidestore", "sileo", "snap", "snapcraft", "snapd", "steam", "steamlink", "uplay", "vivomarket",
	"winget", "yast", "ymp", "zypp", "zypper",
	// Terminals and remote desktops.
	"adb", "anydesk", "chrome-remote-desktop", "citrix", "connectwise", "ghostty", "horizon", "hterm", "iterm",
	"iterm2", "kitty", "konsole", "logmein", "moonlight", "mosh", "nomachine", "nx", "nxs", "parsec", "putty", "qemu",
	"rdesktop", "rdm", "rdp", "receiver", "remmina", "rlogin", "royalts", "rustdesk", "sccm", "screenconnect",
	"screensharing", "spice", "splashtop", "teamviewer", "teamviewer10", "teamviewer8", "teamviewerapi", "telnet",
	"terminal", "termius", "tightvnc", "tn3270", "ultravnc", "virt-manager", "virt-viewer", "virtualbox", "vmrc",
	"vmware", "vmware-view", "vnc", "vncviewer", "wezterm", "winbox", "winscp", "wt", "x2go",
	"xterm",
	// Messengers, mail, calls and meetings.
	"callto", "fax", "fb", "fb-messenger", "fbmessenger", "gotomeeting", "gotowebinar", "gtalk", "icq", "im",
	"imessage", "jami", "kakaolink", "kakaotalk", "kik", "line", "mailto", "matrix", "messenger", "mms", "mmsto",
	"modem", "msnim", "msteams", "mumble", "outlook", "pres", "qq", "sgnl", "signal", "signalcaptcha", "skype",
	"skype-for-business", "sms", "smsto", "teamspeak", "tel", "telegram", "telprompt", "tencent", "tg", "threema",
	"tox", "ts3server", "viber", "voicemail", "webex", "wechat", "weixin", "whatsapp", "wickr", "wtai", "ymsgr", "zalo",
	"zoommtg", "zoomphonecall", "zoomus",
	// Money and one-time passwords.
	"alipay", "alipays", "bitcoin", "bitcoincash", "dogecoin", "ethereum", "gpay", "lightning", "litecoin", "monero",
	"otpauth", "otpauth-migration", "payment", "paypal", "paytm", "payto", "phonepe", "solana", "taler", "upi", "venmo",
	"wc", "web3", "zcash",
	// Documents: an application opens what the URI names.
	"acrobat", "acrobat2018", "adobereader", "evince", "kindle", "ksoqing", "libreoffice", "okular", "onenote", "skim",
	"wps",
	// Players and downloads.
	"applemusic", "dat", "dvb", "dvd", "ed2k", "flashget", "hyper", "iina", "infuse", "jdownloader", "magnet", "mmsh",
	"mmst", "mpv", "nplayer", "ogg", "pcast", "podcast", "podcasts", "potplayer", "qqdl", "rtmfp", "rtmp", "rtmps",
	"rtmpt", "rtsp", "rtsps", "rtspu", "spotify", "thunder", "torrent", "vlc",
	// Network protocols.
	"aaa", "aaas", "acap", "amqp", "amqps", "clash", "coap", "coaps", "cvs", "dict", "dns", "docker", "dweb", "finger",
	"ftp", "ftps", "geo", "git", "gopher", "gophers", "gs", "h323", "http", "https", "hysteria", "iax", "icap", "imap",
	"imaps", "ipfs", "ipns", "ipp", "ipps", "irc", "irc6", "ircs", "jabber", "jdbc", "jms", "ldap", "ldapi", "ldaps",
	"mongodb", "mqtt", "mqtts", "mysql", "netdoc", "news", "nfs", "nntp", "nntps", "npipe", "odbc", "openvpn", "pop",
	"pop3", "pop3s", "postgres", "postgresql", "quic-transport", "redis", "rediss", "rmi", "rsync", "s3", "scp", "sip",
	"sips", "smtp", "smtps", "snews", "snmp", "sqlite", "ss", "ssr", "stun", "stuns", "svn", "tailscale", "tcp", "tftp",
	"trojan", "turn", "turns", "udp", "unix", "unreal", "vless", "vmess", "wais", "webcal", "webcals", "webdav",
	"webdavs", "whois", "wireguard", "ws", "wss", "xmpp",
}
