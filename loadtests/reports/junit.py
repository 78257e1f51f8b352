"""A document as JUnit XML, which every CI shows: a test case for each check.

FAILED is a failure, INVALID an error, INCONCLUSIVE skipped; what PASSED and what is only stated are plain cases.
"""

from xml.etree import ElementTree as ET

from loadtests.reports.document import Check, Document, Outcome, showable

ELEMENTS = {Outcome.FAILED: "failure", Outcome.INVALID: "error", Outcome.INCONCLUSIVE: "skipped"}
COUNTED = {"failures": Outcome.FAILED, "errors": Outcome.INVALID, "skipped": Outcome.INCONCLUSIVE}


def to_junit(document: Document) -> str:
    document = showable(document)
    name = f"{document.warning}: {document.title}" if document.warning else document.title
    found = [check.outcome for check in document.checks]
    totals = {"name": name, "tests": str(len(found))}
    for attribute, outcome in COUNTED.items():
        totals[attribute] = str(found.count(outcome))
    suites = ET.Element("testsuites", totals)
    suite = ET.SubElement(suites, "testsuite", {**totals, "timestamp": document.made_at})
    stated = {
        "verdict": document.headline,
        "sentence": document.sentence,
        "label": document.label,
        **document.facts,
    }
    properties = ET.SubElement(suite, "properties")
    for key, value in stated.items():
        ET.SubElement(properties, "property", name=key, value=value)
    for check in document.checks:
        suite.append(case(document, check))
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def case(document: Document, check: Check) -> ET.Element:
    found = ET.Element("testcase", classname=f"{document.kind}.{check.group}", name=check.name)
    said = f"{check.measured} (limit: {check.limit})" if check.limit else check.measured
    if document.warning:
        said = f"{document.warning}: {said}"
    if element := ELEMENTS.get(check.outcome):
        ET.SubElement(found, element, message=said).text = check.detail or said
    else:
        ET.SubElement(found, "system-out").text = f"{said}\n{check.detail}".strip()
    return found
