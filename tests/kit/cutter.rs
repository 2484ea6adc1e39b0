//! A TCP proxy that cuts a connection at a chosen moment: when certain bytes pass on their way to the server,
//! either before the server sees them, or once it has begun to answer.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// When to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The server never gets the bytes.
    Request,
    /// The server gets the bytes, its answer is lost.
    Answer,
}

/// The bytes to wait for, and what to do then.
type Trap = Mutex<Option<(Vec<u8>, Cut)>>;

/// A proxy before one server.
pub struct Cutter {
    /// Where it listens.
    pub address: SocketAddr,
    armed: Arc<Trap>,
}

impl Cutter {
    /// A proxy before `server` that lets everything pass.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let armed: Arc<Trap> = Arc::default();
        let shared = Arc::clone(&armed);
        #[allow(clippy::disallowed_methods, reason = "a test owns its tasks")]
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                #[allow(clippy::disallowed_methods, reason = "a test owns its tasks")]
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(server).await {
                        relay(client, server, &shared).await;
                    }
                });
            }
        });
        Self { address, armed }
    }

    /// Cuts the connection over which `needle` passes next, once.
    pub fn arm(&self, needle: &[u8], cut: Cut) {
        *self.armed.lock().expect("not poisoned") = Some((needle.to_vec(), cut));
    }

    /// Whether the cut is still to come.
    pub fn is_armed(&self) -> bool {
        self.armed.lock().expect("not poisoned").is_some()
    }
}

/// Passes bytes both ways until a side ends or the cut comes.
async fn relay(mut client: TcpStream, mut server: TcpStream, armed: &Trap) {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut cutting = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let request = &asked[..length];
                let cut = {
                    let mut armed = armed.lock().expect("not poisoned");
                    let hit = armed.as_ref().is_some_and(|(needle, _)| request.windows(needle.len()).any(|w| w == needle));
                    if hit { armed.take().map(|(_, cut)| cut) } else { None }
                };
                if cut == Some(Cut::Request) {
                    return;
                }
                cutting |= cut == Some(Cut::Answer);
                if server.write_all(request).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if cutting {
                    // The answer may come in pieces: the last says that the transaction is over.
                    if ready_for_query(&answered[..length]) {
                        return;
                    }
                } else if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Whether an answer ends with PostgreSQL's "ready for query".
fn ready_for_query(answer: &[u8]) -> bool {
    answer.len() >= 6 && answer[answer.len() - 6..].starts_with(&[b'Z', 0, 0, 0, 5])
}
