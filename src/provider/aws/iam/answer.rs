//! What IAM answers, out of its XML.

use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_xml::decode::{Document, ScopedDecoder, XmlDecodeError, try_data};

/// One page of SimulatePrincipalPolicy.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Of single resources.
    pub(super) results: Vec<Evaluation>,
    /// Of all resources of the question together, the strictest that any of them has, whatever resource it
    /// names. Only where IAM did not go into single ones.
    pub(super) together: Vec<Evaluation>,
    /// Where the next page starts, if there is one.
    pub(super) marker: Option<String>,
}

/// IAM's opinion of one action on one resource.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in super::super) struct Evaluation {
    pub(in super::super) resource: String,
    /// `allowed`, `explicitDeny`, `implicitDeny`, or what else IAM may come to say.
    pub(in super::super) decision: String,
    /// The policies with a statement that took part.
    pub(in super::super) policies: Vec<String>,
    /// Condition keys that policies ask for and the question did not have.
    pub(in super::super) missing: Vec<String>,
    pub(in super::super) refused_by_boundary: bool,
    pub(in super::super) refused_by_organization: bool,
}

/// # Errors
/// It is not such an answer. The text is not for people: it may quote the answer.
pub(super) fn page(body: &[u8]) -> Result<Page, XmlDecodeError> {
    let text = whole(body)?;
    let mut document = Document::new(text);
    let mut root = document.root_element()?;
    if !root.start_el().matches("SimulatePrincipalPolicyResponse") {
        return Err(XmlDecodeError::custom("another answer"));
    }
    let mut found = None;
    while let Some(mut tag) = root.next_tag() {
        if tag.start_el().matches("SimulatePrincipalPolicyResult") {
            found = Some(result(&mut tag)?);
        }
    }
    found.ok_or_else(|| XmlDecodeError::custom("no result"))
}

/// An error's code and message; empty where the body is no error of IAM's.
pub(super) fn refusal(body: &[u8]) -> ErrorMetadata {
    let read = || -> Result<ErrorMetadata, XmlDecodeError> {
        let mut document = Document::new(whole(body)?);
        let mut root = document.root_element()?;
        let mut metadata = ErrorMetadata::builder();
        while let Some(mut tag) = root.next_tag() {
            if !tag.start_el().matches("Error") {
                continue;
            }
            while let Some(mut field) = tag.next_tag() {
                match field.start_el().local() {
                    "Code" => metadata = metadata.code(try_data(&mut field)?),
                    "Message" => metadata = metadata.message(try_data(&mut field)?),
                    _ => {}
                }
            }
        }
        Ok(metadata.build())
    };
    read().unwrap_or_else(|_| ErrorMetadata::builder().build())
}

/// The reader takes a document that breaks off for one that ends there, so it is read to its end first.
fn whole(body: &[u8]) -> Result<&str, XmlDecodeError> {
    let text = std::str::from_utf8(body).map_err(XmlDecodeError::unhandled)?;
    let mut depth_at_end = None;
    for token in Document::new(text) {
        depth_at_end = Some(token?.1);
    }
    if depth_at_end == Some(0) { Ok(text) } else { Err(XmlDecodeError::custom("not a whole document")) }
}

fn result(decoder: &mut ScopedDecoder<'_, '_>) -> Result<Page, XmlDecodeError> {
    let mut page = Page::default();
    let (mut truncated, mut marker) = (false, None);
    while let Some(mut tag) = decoder.next_tag() {
        match tag.start_el().local() {
            "EvaluationResults" => {
                while let Some(mut member) = tag.next_tag() {
                    let (together, by_resource) = evaluation(&mut member)?;
                    if by_resource.is_empty() {
                        page.together.push(together);
                    } else {
                        page.results.extend(by_resource);
                    }
                }
            }
            "IsTruncated" => truncated = is_true(&try_data(&mut tag)?),
            "Marker" => marker = Some(try_data(&mut tag)?.into_owned()),
            _ => {}
        }
    }
    page.marker = marker.filter(|_| truncated);
    Ok(page)
}

/// One member, and one for each resource that it goes into by itself. What it says is missing may be missing
/// for any of them.
fn evaluation(member: &mut ScopedDecoder<'_, '_>) -> Result<(Evaluation, Vec<Evaluation>), XmlDecodeError> {
    let (mut own, mut by_resource) = (Evaluation::default(), Vec::new());
    while let Some(mut tag) = member.next_tag() {
        if tag.start_el().matches("ResourceSpecificResults") {
            while let Some(mut member) = tag.next_tag() {
                let mut one = Evaluation::default();
                while let Some(mut tag) = member.next_tag() {
                    field(&mut one, &mut tag)?;
                }
                by_resource.push(one);
            }
        } else {
            field(&mut own, &mut tag)?;
        }
    }
    for one in &mut by_resource {
        for key in &own.missing {
            if !one.missing.contains(key) {
                one.missing.push(key.clone());
            }
        }
        one.refused_by_organization |= own.refused_by_organization;
    }
    Ok((own, by_resource))
}

fn field(into: &mut Evaluation, tag: &mut ScopedDecoder<'_, '_>) -> Result<(), XmlDecodeError> {
    match tag.start_el().local() {
        "EvalResourceName" => into.resource = try_data(tag)?.into_owned(),
        "EvalDecision" | "EvalResourceDecision" => into.decision = try_data(tag)?.into_owned(),
        "MissingContextValues" => {
            while let Some(mut member) = tag.next_tag() {
                into.missing.push(try_data(&mut member)?.into_owned());
            }
        }
        "MatchedStatements" => {
            while let Some(mut member) = tag.next_tag() {
                while let Some(mut field) = member.next_tag() {
                    if field.start_el().matches("SourcePolicyId") {
                        into.policies.push(try_data(&mut field)?.into_owned());
                    }
                }
            }
        }
        "PermissionsBoundaryDecisionDetail" => {
            into.refused_by_boundary = says_no(tag, "AllowedByPermissionsBoundary")?;
        }
        "OrganizationsDecisionDetail" => {
            into.refused_by_organization = says_no(tag, "AllowedByOrganizations")?;
        }
        _ => {}
    }
    Ok(())
}

fn says_no(tag: &mut ScopedDecoder<'_, '_>, name: &str) -> Result<bool, XmlDecodeError> {
    let mut no = false;
    while let Some(mut field) = tag.next_tag() {
        if field.start_el().matches(name) {
            no = !is_true(&try_data(&mut field)?);
        }
    }
    Ok(no)
}

fn is_true(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(results: &str, rest: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<SimulatePrincipalPolicyResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\
             <SimulatePrincipalPolicyResult>{rest}<EvaluationResults>{results}</EvaluationResults>\
             </SimulatePrincipalPolicyResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>\
             </SimulatePrincipalPolicyResponse>"
        )
    }

    const ONE: &str = "<member><MatchedStatements><member><SourcePolicyId>user_u_P &amp; Q</SourcePolicyId>\
        <EndPosition><Column>4</Column><Line>5</Line></EndPosition></member></MatchedStatements>\
        <MissingContextValues><member>aws:SourceIp</member><member>aws:ResourceTag/a</member></MissingContextValues>\
        <PermissionsBoundaryDecisionDetail><AllowedByPermissionsBoundary>false</AllowedByPermissionsBoundary>\
        </PermissionsBoundaryDecisionDetail>\
        <EvalResourceName>arn:x</EvalResourceName><EvalDecision>explicitDeny</EvalDecision></member>";

    #[test]
    fn everything_that_counts_is_read() {
        let page = page(answer(ONE, "<IsTruncated>true</IsTruncated><Marker>m&lt;</Marker>").as_bytes()).unwrap();
        assert_eq!(page.marker.as_deref(), Some("m<"));
        let expected = Evaluation {
            resource: "arn:x".into(),
            decision: "explicitDeny".into(),
            policies: vec!["user_u_P & Q".into()],
            missing: vec!["aws:SourceIp".into(), "aws:ResourceTag/a".into()],
            refused_by_boundary: true,
            refused_by_organization: false,
        };
        assert_eq!((page.together, page.results), (vec![expected], Vec::new()));
    }

    #[test]
    fn where_single_resources_are_gone_into_what_is_said_of_all_is_no_result() {
        let specific = "<member><EvalActionName>a</EvalActionName><EvalDecision>explicitDeny</EvalDecision>\
            <EvalResourceName>arn:x</EvalResourceName>\
            <MissingContextValues><member>aws:SourceIp</member></MissingContextValues><ResourceSpecificResults><member><EvalResourceName>arn:y</EvalResourceName>\
            <EvalResourceDecision>implicitDeny</EvalResourceDecision></member></ResourceSpecificResults></member>";
        let page = page(answer(specific, "<IsTruncated>false</IsTruncated><Marker>m</Marker>").as_bytes()).unwrap();
        assert_eq!((page.marker, page.together, page.results.len()), (None, Vec::new(), 1));
        assert_eq!(page.results[0].missing, ["aws:SourceIp"]);
        assert_eq!((&*page.results[0].resource, &*page.results[0].decision), ("arn:y", "implicitDeny"));
    }

    #[test]
    fn what_breaks_off_or_is_no_answer_is_an_error() {
        let whole = answer(ONE, "");
        assert!(page(whole.as_bytes()).is_ok());
        for end in 0..whole.len() {
            assert!(page(&whole.as_bytes()[..end]).is_err(), "{}", &whole[..end]);
        }
        for odd in ["</a>", "<a/>", "<a>", "{}", "null", "<html><p>x</html>", "<SimulatePrincipalPolicyResponse/>"] {
            assert!(page(odd.as_bytes()).is_err(), "{odd}");
        }
        assert!(page(b"\xff\xfe").is_err());
        assert!(page("<a>".repeat(200_000).as_bytes()).is_err());
    }

    #[test]
    fn a_refusal_has_its_code_and_anything_else_has_none() {
        let denied = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no &lt;</Message></Error>\
            </ErrorResponse>";
        let metadata = refusal(denied.as_bytes());
        assert_eq!((metadata.code(), metadata.message()), (Some("AccessDenied"), Some("no <")));
        for odd in ["", "<html>", "{}", "<ErrorResponse/>"] {
            assert_eq!(refusal(odd.as_bytes()).code(), None, "{odd}");
        }
    }

    mod properties {
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn no_answer_is_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200),
                                    cut in 0..600usize, at in 0..600usize) {
                let _ = (super::page(&bytes), super::refusal(&bytes));
                let mut text = super::answer(super::ONE, "<IsTruncated>true</IsTruncated>").into_bytes();
                let at = at.min(text.len());
                text.splice(at..(at + cut % 9).min(text.len()), bytes.iter().copied());
                let _ = super::page(&text);
            }
        }
    }
}
