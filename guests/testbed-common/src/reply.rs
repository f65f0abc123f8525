//! An answer whose body is known from the start.

pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(body: impl Into<Vec<u8>>) -> Reply {
        Reply::status(200, body)
    }

    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply {
            status,
            headers: Reply::plain(),
            body: body.into(),
        }
    }

    pub fn json(body: String) -> Reply {
        Reply {
            status: 200,
            headers: vec![("content-type".into(), b"application/json".into())],
            body: body.into(),
        }
    }

    /// The headers of a plain text answer.
    pub fn plain() -> Vec<(String, Vec<u8>)> {
        vec![("content-type".into(), b"text/plain".into())]
    }

    pub fn refused(what: &str, error: impl std::fmt::Debug) -> Reply {
        Reply::status(400, format!("{what} refused: {error:?}"))
    }
}
