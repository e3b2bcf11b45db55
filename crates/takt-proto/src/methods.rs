//! The services and methods of `takt.v1`, as its interface files name them.

pub use prost::Message;
use prost_types::FileDescriptorSet;

/// A method of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// The service's full name, such as `takt.v1.BoardService`.
    pub service: String,
    /// The method's name, such as `MoveCard`.
    pub name: String,
    /// Whether the answer is a stream.
    pub streams: bool,
}

impl Method {
    /// Where it is called, such as `/takt.v1.BoardService/MoveCard`.
    pub fn path(&self) -> String {
        format!("/{}/{}", self.service, self.name)
    }
}

/// Every method of every service.
pub fn methods() -> Vec<Method> {
    let set = FileDescriptorSet::decode(crate::v1::FILE_DESCRIPTOR_SET).unwrap_or_default();
    let mut methods = Vec::new();
    for file in set.file {
        for service in file.service {
            let full =
                format!("{}.{}", file.package.as_deref().unwrap_or_default(), service.name());
            methods.extend(service.method.iter().map(|method| Method {
                service: full.clone(),
                name: method.name().to_owned(),
                streams: method.server_streaming(),
            }));
        }
    }
    methods
}

/// The full name of every service, each once.
pub fn services() -> Vec<String> {
    let mut names: Vec<String> = methods().into_iter().map(|method| method.service).collect();
    names.dedup();
    names
}

/// How many bytes a message takes on the wire.
pub fn encoded_len(message: &impl Message) -> usize {
    message.encoded_len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptors_name_every_service_and_which_methods_stream() {
        assert_eq!(services().len(), 10, "{:?}", services());
        let streaming: Vec<String> =
            methods().iter().filter(|method| method.streams).map(Method::path).collect();
        assert_eq!(streaming, ["/takt.v1.EventService/Read", "/takt.v1.EventService/Watch"]);
    }
}
