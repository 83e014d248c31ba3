//! HTTP and HTTPS by the programs and run-time libraries that look names up each in its own way:
//! glibc's resolver, musl's, c-ares, Go's own, Java's.

use std::process::Command;

use crate::common::place::Place;
use crate::common::world::World;
use crate::common::{must_have, must_have_sandbox, user::users};
use crate::script;
use crate::site::{Site, trusting};

const RULES: [&str; 2] = ["www.example:80", "www.example"];

/// Runs a script as everyone: it must print `expected`, and reach the site only.
fn fetches(prepare: impl Fn(&Place), script_of_it: &str, expected: &str, asked: &[&str]) {
    must_have_sandbox();
    let (site, world) = (Site::new(), World::new());
    site.put(&world);
    for user in users() {
        let place = Place::new(user);
        prepare(&place);
        let options = trusting(&place, &site);
        let output = script(&place, &world, &RULES, &options, script_of_it).run().code(0);
        assert_eq!(output.stdout, expected, "{user:?} {}", output.stderr);
        assert_eq!(world.asked(), asked);
    }
}

const BOTH: [&str; 2] = ["www.example:443", "www.example:80"];

#[test]
fn curl() {
    must_have(&["curl"]);
    let line = "for url in http://www.example https://www.example; do curl -sS $url/hello; done
        curl -sS -4 https://www.example/hello
        curl -sS --http1.1 https://www.example/hello
        curl -sS --tls-max 1.2 https://www.example/hello
        for url in http://evil.example https://evil.example https://www.example:8443 https://1.1.1.1; do
            curl -sS $url/hello 2>/dev/null && echo got it || echo $?
        done";
    // Cannot resolve the host; cannot connect to it.
    let expected = format!("{}6\n6\n7\n7\n", "hello from www.example\n".repeat(5));
    fetches(|_| (), line, &expected, &BOTH);
}

#[test]
fn node_by_fetch_and_by_c_ares() {
    must_have(&["node"]);
    let program = r"
        const dns = require('node:dns').promises;
        const failed = (error) => console.log('failed', error.code ?? error.cause.code);
        (async () => {
            for (const url of ['http://www.example/hello', 'https://www.example/hello'])
                process.stdout.write(await (await fetch(url)).text());
            const found = await dns.resolve('www.example');
            const said = await (await fetch(`http://${found[0]}/hello`)).text();
            console.log(found.length, said.startsWith('hello from 25.'));
            await dns.resolve4('evil.example').catch(failed);
            await dns.resolveTxt('evil.example').catch(failed);
            await dns.resolveTxt('www.example').catch(failed);
            await fetch('https://evil.example/').catch(failed);
        })();";
    let expected = "hello from www.example\nhello from www.example\n1 true\nfailed ENOTFOUND\n\
                    failed ENOTFOUND\nfailed ENODATA\nfailed ENOTFOUND\n";
    fetches(
        |place| drop(place.project_file("client.cjs", program)),
        "node client.cjs",
        expected,
        &BOTH,
    );
}

#[test]
fn python_by_urllib() {
    must_have(&["python3"]);
    let program = r#"
import urllib.error, urllib.request
for url in ["http://www.example/hello", "https://www.example/hello"]:
    print(urllib.request.urlopen(url).read().decode(), end="")
try: urllib.request.urlopen("https://evil.example/")
except urllib.error.URLError as error: print(error.reason.errno)
"#;
    fetches(
        |place| drop(place.project_file("client.py", program)),
        "python3 client.py",
        "hello from www.example\nhello from www.example\n-2\n",
        &BOTH,
    );
}

/// Without cgo a program of Go asks the name server itself, and is linked to nothing.
#[test]
fn a_static_program_of_go() {
    must_have(&["go"]);
    let program = r#"
package main
import ("errors"; "fmt"; "io"; "net"; "net/http")
func main() {
    for _, url := range []string{"http://www.example/hello", "https://www.example/hello"} {
        answer, err := http.Get(url)
        if err != nil { panic(err) }
        text, _ := io.ReadAll(answer.Body)
        fmt.Print(string(text))
    }
    _, err := http.Get("https://evil.example/")
    var unknown *net.DNSError
    fmt.Println(errors.As(err, &unknown) && unknown.IsNotFound)
}"#;
    let build = |place: &Place| {
        // Kept between runs: it compiles the half of Go's library.
        let cache = format!("{}/go", env!("CARGO_TARGET_TMPDIR"));
        let mut go = Command::new("go");
        go.args(["build", "-o"]).arg(place.project().join("client"));
        go.arg(place.project_file("client.go", program))
            .env("GOCACHE", &cache)
            .env("GOPATH", cache);
        compile(go.env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=mod").env("GO111MODULE", "off"));
    };
    let expected = "hello from www.example\nhello from www.example\ntrue\n";
    fetches(build, "./client", expected, &BOTH);
}

#[test]
fn a_static_program_with_musl() {
    must_have(&["musl-gcc"]);
    let program = r#"
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
    if (getaddrinfo("www.example", "80", &hints, &found)) return 1;
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (connect(fd, found->ai_addr, found->ai_addrlen)) return 2;
    const char ask[] = "GET /hello HTTP/1.0\r\nHost: musl\r\n\r\n";
    if (write(fd, ask, strlen(ask)) < 0) return 3;
    static char said[4096];
    size_t length = 0;
    for (ssize_t more; (more = read(fd, said + length, sizeof said - 1 - length)) > 0; length += more);
    printf("%s%d\n", strstr(said, "hello"), getaddrinfo("evil.example", "80", &hints, &found));
    return 0;
}"#;
    let build = |place: &Place| {
        let mut gcc = Command::new("musl-gcc");
        gcc.args(["-static", "-o"]).arg(place.project().join("client"));
        compile(gcc.arg(place.project_file("client.c", program)));
    };
    // EAI_NONAME.
    fetches(build, "./client", "hello from musl\n-2\n", &["www.example:80"]);
}

#[test]
fn java() {
    must_have(&["java", "javac"]);
    let program = r#"
import java.io.FileInputStream;
import java.net.*;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.*;
public class Client {
    public static void main(String[] words) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        var authority = new FileInputStream("ca.pem");
        store.setCertificateEntry("a", CertificateFactory.getInstance("X.509").generateCertificate(authority));
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        var tls = SSLContext.getInstance("TLS");
        tls.init(null, trust.getTrustManagers(), null);
        HttpsURLConnection.setDefaultSSLSocketFactory(tls.getSocketFactory());
        for (var url : new String[] {"http://www.example/hello", "https://www.example/hello"})
            System.out.write(new URL(url).openStream().readAllBytes());
        try { new URL("https://evil.example/").openStream(); }
        catch (UnknownHostException unknown) { System.out.println(unknown.getMessage()); }
    }
}"#;
    let build = |place: &Place| {
        let mut javac = Command::new("javac");
        javac.arg("-d").arg(place.project());
        compile(javac.arg(place.project_file("Client.java", program)));
    };
    let expected = "hello from www.example\nhello from www.example\nevil.example\n";
    fetches(build, "java -XX:TieredStopAtLevel=1 -Xshare:auto Client", expected, &BOTH);
}

fn compile(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
